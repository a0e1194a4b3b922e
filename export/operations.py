"""Operations of Keras whose TensorFlow form converters refuse, or a runtime computes badly, in forms for a file.

argmax(x)       Keras sets -0.0 below 0.0 by the sign bit; runtimes take them for equal, and the first one counts
normalize(x)    min(rsqrt(s), 1 / e) = rsqrt(max(s, e^2)) with s = sum x^2: XNNPACK's rsqrt(0) is NaN
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow import numpy as backend
from keras.src.ops import nn

Operation = Callable[..., Any]


@contextmanager
def portable() -> Iterator[None]:
    """Within the block Keras on TensorFlow records these operations in their forms for a file."""
    before = [(module, name, getattr(module, name)) for module, name, _ in _FORMS if hasattr(module, name)]
    forms = {name: form for _, name, form in _FORMS}
    try:
        for module, name, original in before:
            setattr(module, name, forms[name](original))
        yield
    finally:
        for module, name, original in before:
            setattr(module, name, original)


def _extreme(search: Operation) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
            x = tf.convert_to_tensor(x)
            if not x.dtype.is_floating or not x.shape.rank:
                return original(x, axis=axis, keepdims=keepdims)
            flat = tf.reshape(x, [-1]) if axis is None else x
            found = search(flat, axis=0 if axis is None else axis, output_type=tf.int32)
            if not keepdims:
                return found
            return tf.reshape(found, [1] * x.shape.rank) if axis is None else tf.expand_dims(found, axis)

        return call

    return form


def _normalize(original: Operation) -> Operation:
    def call(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
        x = keras.ops.convert_to_tensor(x)
        least = np.square(np.float32(keras.config.epsilon() if epsilon is None else epsilon))
        if order != 2 or x.dtype != tf.float32 or not x.shape.rank or least < np.finfo(np.float32).tiny:
            return original(x, axis=axis, order=order, epsilon=epsilon)
        power = keras.ops.sum(keras.ops.square(x), axis=axis, keepdims=True)
        return x * keras.ops.rsqrt(keras.ops.maximum(power, least))

    return call


_FORMS = (
    (backend, "argmax", _extreme(tf.argmax)),
    (backend, "argmin", _extreme(tf.argmin)),
    (nn, "_normalize", _normalize),
)
