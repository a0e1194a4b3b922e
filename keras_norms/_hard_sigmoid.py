"""The hard sigmoid of Keras 1 and 2, for models that were written by them.

    y = clip(x / 5 + 1/2, 0, 1)

Keras 3 computes clip(x / 6 + 1/2, 0, 1) under the same name. The function is registered, so that a model with it saves
and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_norms")
def hard_sigmoid_keras2(x: Any) -> Any:
    """The hard sigmoid of Keras 1 and 2: `clip(x / 5 + 1/2, 0, 1)`."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)
