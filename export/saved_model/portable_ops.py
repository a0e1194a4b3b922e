"""Operations of Keras whose TensorFlow form converters refuse, or a runtime computes badly, in forms for a file.

add             of integers, without Keras' BiasAdd
argmax(x)       Keras sets -0.0 below 0.0 by the sign bit; runtimes take them for equal, and the first one counts
einsum, matmul  of 8-bit integers in floats, which hold their sums exactly: TFLite multiplies no such matrices
expm1, log1p    exp(x) - 1 and log(1 + x): neither format has them (`portable_logarithms`)
one_hot(x)      ONNX counts indices below zero from the back; TensorFlow has no class for them
matmul          of many dimensions by a kernel: one matrix, between reshapes of constant shapes. Of a free batch
                TensorFlow computes the shapes, and XNNPACK has given wrong numbers behind such a tensor (LiteRT 2.3)
normalize(x)    min(rsqrt(s), 1 / e) = rsqrt(max(s, e^2)) with s = sum x^2: XNNPACK's rsqrt(0) is NaN
softplus(x)     max(x, 0) + log(1 + exp(-|x|)), and log_sigmoid(x) = -softplus(-x): TFLite's log(1 + exp(x)) is
                infinite from 89 on

`portable_angles` has trigonometric and hyperbolic functions, `portable_special` what neither format has,
`portable_quantiles` medians and the like, `portable_fourier` transforms, `portable_linalg` small matrices,
`portable_search` searches, `portable_integers` divisors, `portable_infinities` tests for them, `portable_bits` and
`portable_colors` these, `portable_arrays` diagonals, windows and loops, `portable_repeat` repeating,
`portable_recurrent` loops over steps; `portable_spatial`, `portable_pooling` and `portable_resizing` have the
operations of images, rows and volumes, `portable_transforms` those that move pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src import backend as keras_backend
from keras.src.backend.tensorflow import core as backend_core
from keras.src.backend.tensorflow import image as backend_image
from keras.src.backend.tensorflow import linalg as backend_linalg
from keras.src.backend.tensorflow import math as backend_math
from keras.src.backend.tensorflow import nn as backend_nn
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras.src.ops import image, nn
from keras.src.utils import tf_utils

from . import (
    portable_angles,
    portable_arrays,
    portable_bits,
    portable_colors,
    portable_fourier,
    portable_infinities,
    portable_integers,
    portable_linalg,
    portable_logarithms,
    portable_pooling,
    portable_quantiles,
    portable_recurrent,
    portable_repeat,
    portable_resizing,
    portable_search,
    portable_spatial,
    portable_special,
    portable_transforms,
)

Operation = Callable[..., Any]


@contextmanager
def portable(channels_first: bool) -> Iterator[None]:
    """Within the block Keras on TensorFlow records these operations in their forms for a file.

    `channels_first` as for lowerings: it tells ONNX, which needs other ones, from TFLite.
    """
    rows = [row for row in (*_FORMS, *(_FOR_ONNX if channels_first else _FOR_TFLITE)) if hasattr(*row[:2])]
    before = [(module, name, getattr(module, name), form) for module, name, form in rows]
    try:
        for module, name, original, form in before:
            setattr(module, name, form(original))
        yield
    finally:
        for module, name, original, _ in before:
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


def _one_hot(original: Operation) -> Operation:
    def call(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
        if sparse:
            return original(x, num_classes, axis=axis, dtype=dtype, sparse=True)
        classes = tf.range(num_classes, dtype=tf.int64)
        hot = tf.equal(tf.expand_dims(keras.ops.cast(x, "int64"), -1), classes)
        return keras.ops.moveaxis(keras.ops.cast(hot, dtype or "float32"), -1, axis)

    return call


def _in_floats(original: Operation) -> Operation:
    def call(*args: Any, **kwargs: Any) -> Any:
        operands = [x for x in args if not isinstance(x, str)]
        if any(getattr(x, "dtype", None) not in ("int8", tf.int8) for x in operands):
            return original(*args, **kwargs)
        floats = [x if isinstance(x, str) else tf.cast(x, tf.float32) for x in args]
        return tf.cast(original(*floats, **kwargs), tf.int32)

    return call


def _in_constant_shapes(original: Operation) -> Operation:
    def call(x1: Any, x2: Any) -> Any:
        x, kernel = tf.convert_to_tensor(x1), tf.convert_to_tensor(x2)
        lead = list(x.shape[:-1]) if x.shape.rank else []
        static = kernel.shape.rank == 2 and kernel.shape.is_fully_defined()
        alike = x.dtype == kernel.dtype and x.dtype.is_floating
        if not static or not alike or len(lead) < 2 or lead.count(None) != 1 or 0 in lead:
            return original(x1, x2)
        width, units = kernel.shape
        rows = tf.matmul(tf.reshape(x, [-1, width]), kernel)
        return tf.reshape(rows, [-1 if n is None else n for n in lead] + [units])

    return call


def _integers(original: Operation) -> Operation:
    """Keras adds as a bias what may be one, and TFLite has no such operation for integers."""

    def call(x1: Any, x2: Any) -> Any:
        one, other = getattr(x1, "dtype", None), getattr(x2, "dtype", None)
        plain = one is not None and one == other and tuple(x2.shape)[-1:] != (1,)
        return tf.add(x1, x2) if plain and keras.backend.is_int_dtype(one) else original(x1, x2)

    return call


def _by(plain: Operation) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(x: Any) -> Any:
            x = tf.convert_to_tensor(x)
            return plain(x) if x.dtype.is_floating else original(x)

        return call

    return form


def _by_one_hot(_: Operation) -> Operation:
    """Keras has a form of one-hot rows too, which it takes where this one raises: converters lack its bincount."""

    def call(*_: Any, **__: Any) -> Any:
        raise ValueError("no bincount in a file")

    return call


def _softplus(_: Operation) -> Operation:
    def call(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        return tf.maximum(x, 0.0) + tf.math.log(1.0 + tf.exp(-tf.abs(x)))

    return call


def _log_sigmoid(original: Operation) -> Operation:
    def call(x: Any) -> Any:
        return -_softplus(original)(-tf.convert_to_tensor(x))

    return call


_MATRICES = ("cholesky", "cholesky_inverse", "inv", "solve", "solve_triangular")
_FORMS = (
    (backend_numpy, "argmax", _extreme(tf.argmax)),
    (backend_numpy, "argmin", _extreme(tf.argmin)),
    (nn, "_normalize", _normalize),
    (backend_numpy, "expm1", _by(portable_logarithms.expm1)),
    (backend_numpy, "log1p", _by(portable_logarithms.log1p)),
    (backend_numpy, "signbit", _by(portable_special.signbit)),
    (backend_numpy, "i0", _by(portable_special.i0)),
    (backend_math, "erfinv", _by(portable_special.erfinv)),
    (backend_math, "fft", portable_fourier.fft),
    (backend_math, "fft2", portable_fourier.fft2),
    (backend_math, "irfft", portable_fourier.irfft),
    (backend_math, "istft", portable_fourier.istft),
    (backend_math, "in_top_k", portable_search.in_top_k),
    (backend_math, "logdet", portable_linalg.logdet),
    (backend_numpy, "slogdet", portable_linalg.slogdet),
    *((backend_linalg, name, getattr(portable_linalg, name)) for name in _MATRICES),
    (backend_image, "affine_transform", portable_transforms.affine),
    (backend_image, "perspective_transform", portable_transforms.perspective),
    (backend_image, "rgb_to_hsv", portable_colors.rgb_to_hsv),
    (backend_image, "hsv_to_rgb", portable_colors.hsv_to_rgb),
    (backend_numpy, "searchsorted", portable_search.searchsorted),
    (backend_numpy, "gcd", portable_integers.gcd),
    (backend_numpy, "unravel_index", portable_integers.unravel_index),
    (backend_core, "associative_scan", portable_arrays.associative_scan),
    (backend_core, "switch", portable_search.switch),
    (backend_numpy, "cross", portable_arrays.cross),
    (backend_numpy, "diag", portable_arrays.diag),
    (backend_numpy, "diagonal", portable_arrays.diagonal),
    (backend_nn, "unfold", portable_arrays.unfold),
    (tf_utils, "tf_encode_categorical_inputs", _by_one_hot),
    (backend_numpy, "add", lambda original: _integers(portable_spatial.add_channels_first(original))),
    (backend_nn, "adaptive_average_pool", portable_pooling.adaptive_pool(keras.ops.average_pool)),
    (backend_nn, "adaptive_max_pool", portable_pooling.adaptive_pool(keras.ops.max_pool)),
    (backend_image, "resize", portable_resizing.resize),
    (image, "resize", portable_resizing.to_free_size),
)
_FOR_ONNX = (
    (backend_core, "scan", portable_arrays.scan),
    (backend_core, "slice_update", portable_arrays.slice_update),
    (backend_math, "rfft", portable_fourier.rfft),
    (backend_math, "stft", portable_fourier.stft),
    (backend_numpy, "linspace", portable_arrays.linspace),
    (backend_nn, "one_hot", _one_hot),
    (backend_nn, "conv", portable_spatial.conv(for_tflite=False)),
    (backend_nn, "conv_transpose", portable_spatial.conv_transpose(for_tflite=False)),
)
_ANGLES = ("arctan", "arcsin", "arccos", "tan", "sinh", "cosh", "arcsinh", "arccosh", "arctanh")
_INFINITIES = ("isinf", "isposinf", "isneginf", "isfinite", "nan_to_num")
_BITS = ("bitwise_and", "bitwise_or", "bitwise_invert", "bitwise_left_shift")
_FOR_TFLITE = (
    (backend_core, "scan", portable_recurrent.scan),
    *((backend_numpy, name, getattr(portable_infinities, name)) for name in _INFINITIES),
    *((backend_numpy, name, _by(getattr(portable_angles, name))) for name in _ANGLES),
    (backend_math, "rfft", portable_fourier.rfft_of_other_lengths),
    (backend_numpy, "einsum", lambda original: portable_arrays.einsum(_in_floats(original))),
    (backend_numpy, "matmul", lambda original: _in_constant_shapes(_in_floats(original))),
    (backend_numpy, "repeat", portable_repeat.repeat),
    (backend_linalg, "det", portable_linalg.det),
    *((backend_numpy, name, getattr(portable_bits, name)) for name in _BITS),
    (backend_numpy, "cumprod", portable_search.cumprod),
    (backend_numpy, "nonzero", portable_search.nonzero),
    (backend_numpy, "quantile", portable_quantiles.quantile),
    (backend_numpy, "percentile", portable_quantiles.percentile),
    (keras_backend, "rnn", portable_recurrent.rnn),
    (backend_nn, "softplus", _softplus),
    (backend_nn, "log_sigmoid", _log_sigmoid),
    (backend_nn, "max_pool", portable_pooling.pool_volume),
    (backend_nn, "average_pool", portable_pooling.pool_volume),
    (backend_nn, "conv", portable_spatial.conv(for_tflite=True)),
    (backend_nn, "conv_transpose", portable_spatial.conv_transpose(for_tflite=True)),
)
