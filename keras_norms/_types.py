"""Names for the types in the signatures of the layers. Keras has no types of its own, so a tensor is Any."""

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
# A name, a config, an object of Keras' or a function; None for none at all.
Initializer: TypeAlias = str | Config | Callable[..., Tensor]
Regularizer: TypeAlias = str | Config | Callable[[Tensor], Tensor] | None
Constraint: TypeAlias = str | Config | Callable[[Tensor], Tensor] | None
Dtype: TypeAlias = Any  # a name such as "float32", or what a backend has for it

# batch renormalization's (r, d) from the mean and the variance of the batch
Correct: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
# reduces a full-size tensor to its means
MeanOf: TypeAlias = Callable[[Tensor], Tensor]
