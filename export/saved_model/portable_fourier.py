"""Fourier transforms as products with constant matrices: the formats have next to no complex numbers.

    X_k = sum_j x_j w^(j k)        with w = exp(-2 pi i / n)

Of a length n = a b above 128 in two steps, as Cooley and Tukey do, with j = b j1 + j2 and k = k1 + a k2:

    X_k = sum_j2 w_b^(j2 k2) w^(j2 k1) sum_j1 w_a^(j1 k1) x_j

so that 2,048 samples take matrices of 32 and 64 numbers a side. Real and imaginary parts are numbers of their own. A
short-time transform takes windows of the signal; its inverse adds what they overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Complex: TypeAlias = "tuple[Any, Any]"
Operation = Callable[..., Any]
_AT_ONCE = 128


def transform(re: Any, im: Any | None) -> Complex:
    """The transform along the last axis, whose length is known; `im` is None for real numbers."""
    n = re.shape[-1]
    a = max((d for d in range(1, math.isqrt(n) + 1) if n % d == 0), default=1)
    if n <= _AT_ONCE or a == 1:
        return _times(re, im, _roots(np.outer(np.arange(n), np.arange(n)), n))
    b, lead = n // a, _lead(re)
    re, im = (None if x is None else tf.linalg.matrix_transpose(tf.reshape(x, [*lead, a, b])) for x in (re, im))
    re, im = _times(re, im, _roots(np.outer(np.arange(a), np.arange(a)), a))  # [..., j2, k1]
    cos, sin = (part.astype(np.float32) for part in _roots(np.outer(np.arange(b), np.arange(a)), n))
    re, im = re * cos - im * sin, re * sin + im * cos
    re, im = tf.linalg.matrix_transpose(re), tf.linalg.matrix_transpose(im)
    re, im = _times(re, im, _roots(np.outer(np.arange(b), np.arange(b)), b))  # [..., k1, k2]
    whole = [*lead, n]
    return tf.reshape(tf.linalg.matrix_transpose(re), whole), tf.reshape(tf.linalg.matrix_transpose(im), whole)


def _roots(powers: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    angle = -2.0 * np.pi * (powers % n) / n
    return np.cos(angle), np.sin(angle)


def _times(re: Any, im: Any | None, roots: tuple[np.ndarray, np.ndarray]) -> Complex:
    cos, sin = (tf.constant(part, tf.float32) for part in roots)
    if im is None:
        return re @ cos, re @ sin
    return re @ cos - im @ sin, re @ sin + im @ cos


def _lead(x: Any) -> list[int]:
    """The sizes before the last axis for a reshape that keeps them: at most one is free."""
    return [-1 if n is None else n for n in x.shape[:-1]]


def _covered(*parts: Any) -> bool:
    return all(
        x.dtype == tf.float32 and x.shape[-1] and x.shape[:-1].rank - sum(map(bool, x.shape[:-1])) < 2 for x in parts
    )


def _fitted(x: Any, n: int) -> Any:
    """The first n numbers along the last axis, zeros behind them where there are fewer."""
    if x.shape[-1] >= n:
        return x[..., :n]
    return tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, n - x.shape[-1]]])


def fft(original: Operation) -> Operation:
    def call(x: Complex) -> Any:
        re, im = map(tf.convert_to_tensor, x)
        return transform(re, im) if _covered(re, im) else original(x)

    return call


def fft2(original: Operation) -> Operation:
    def call(x: Complex) -> Any:
        re, im = map(tf.convert_to_tensor, x)
        turned = [tf.linalg.matrix_transpose(part) for part in (re, im)]
        if not _covered(re, im, *turned):
            return original(x)
        columns = transform(*(tf.linalg.matrix_transpose(part) for part in transform(re, im)))
        return tuple(tf.linalg.matrix_transpose(part) for part in columns)

    return call


def rfft_of_other_lengths(original: Operation) -> Operation:
    """TFLite has the transform of powers of two."""

    def call(x: Any, fft_length: int | None = None) -> Any:
        n = fft_length or x.shape[-1] or 0
        return (rfft(original) if n & (n - 1) else original)(x, fft_length)

    return call


def rfft(original: Operation) -> Operation:
    def call(x: Any, fft_length: int | None = None) -> Any:
        x = tf.convert_to_tensor(x)
        if not _covered(x):
            return original(x, fft_length)
        n = fft_length or x.shape[-1]
        return tuple(part[..., : n // 2 + 1] for part in transform(_fitted(x, n), None))

    return call


def irfft(original: Operation) -> Operation:
    """x = (1 / n) sum_k X_k w^(-j k), of which the half of the X that is not given is the other's conjugate."""

    def call(x: Complex, fft_length: int | None = None) -> Any:
        re, im = map(tf.convert_to_tensor, x)
        if not _covered(re, im):
            return original(x, fft_length)
        n = fft_length or 2 * (re.shape[-1] - 1)
        half = n // 2 + 1
        re, im = _fitted(re, half), _fitted(im, half)
        if n % 2 == 0:  # the first and the middle one have no imaginary part
            im = im * np.concatenate([[0.0], np.ones(half - 2), [0.0]]).astype(np.float32)
        else:
            im = im * np.concatenate([[0.0], np.ones(half - 1)]).astype(np.float32)
        others = slice(1, n - half + 1)
        whole = tf.concat([re, tf.reverse(re[..., others], [-1])], -1)
        minus = tf.concat([-im, tf.reverse(im[..., others], [-1])], -1)
        return transform(whole, minus)[0] / n

    return call


def stft(original: Operation) -> Operation:
    def call(
        x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
    ) -> Any:
        from keras.src.backend.tensorflow import math as backend_math

        x = tf.convert_to_tensor(x)
        if not _covered(x) or fft_length < sequence_length:
            return original(x, sequence_length, sequence_stride, fft_length, window, center)
        if center:
            around = fft_length // 2
            x = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[around, around]], mode="REFLECT")
        frames = tf.signal.frame(x, fft_length, sequence_stride)
        if window is not None:
            frames = frames * _window(window, sequence_length, fft_length)
        return backend_math.rfft(frames, fft_length)

    return call


def istft(original: Operation) -> Operation:
    def call(
        x: Complex,
        sequence_length: int,
        sequence_stride: int,
        fft_length: int,
        length: int | None = None,
        window: Any = "hann",
        center: bool = True,
    ) -> Any:
        from keras.src.backend.tensorflow import math as backend_math

        re, im = map(tf.convert_to_tensor, x)
        if not _covered(re, im):
            return original(x, sequence_length, sequence_stride, fft_length, length, window, center)
        frames = backend_math.irfft((re, im), fft_length)
        if window is not None:
            analysis = _window(window, sequence_length, fft_length)
            with tf.init_scope():
                made = tf.signal.inverse_stft_window_fn(sequence_stride, lambda *_, **__: tf.constant(analysis))
                synthesis = made(fft_length, dtype=tf.float32).numpy()
            frames = frames * synthesis
        y = tf.signal.overlap_and_add(frames, sequence_stride)
        start = fft_length // 2 if center else 0
        if length is not None:
            return y[..., start : start + length]
        return y[..., start : -(fft_length // 2)] if center else y

    return call


def _window(window: Any, length: int, within: int) -> np.ndarray:
    with tf.init_scope():
        made = {"hann": tf.signal.hann_window, "hamming": tf.signal.hamming_window}
        values = made[window](length).numpy() if isinstance(window, str) else np.asarray(window)
    before = (within - length) // 2
    return np.pad(values, (before, within - length - before)).astype(np.float32)
