"""Names for the types in signatures. Keras is not annotated, so a tensor is Any."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Tensor: TypeAlias = Any  # of whichever backend computes
Variable: TypeAlias = Any  # a keras.Variable
Shape: TypeAlias = Sequence[int | None]  # None where the size is not known

Integer: TypeAlias = int | np.integer[Any]
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Flag: TypeAlias = bool | np.bool_

Config: TypeAlias = dict[str, Any]
# a name, a config, an object of Keras or a function
Initializer: TypeAlias = str | Config | Callable[..., Tensor]
Regularizer: TypeAlias = str | Config | Callable[[Tensor], Tensor] | None
Constraint: TypeAlias = str | Config | Callable[[Tensor], Tensor] | None
Dtype: TypeAlias = Any  # a name such as "float32", or a dtype of the backend

# batch renormalization's (r, d) from the mean and the variance of the batch
Correct: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
# the means of a tensor of the input's size
MeanOf: TypeAlias = Callable[[Tensor], Tensor]
# what puts a function into a scope, such as one that computes it again
Wrap: TypeAlias = Callable[[Callable[..., tuple[Tensor, ...]]], Callable[..., tuple[Tensor, ...]]]
