"""Linear algebra of small matrices, up to 16 numbers a side, step after step: neither format has it.

cholesky            column j = S[:, j] / sqrt(S[j, j]) from row j on, then S <- S - column column^T
solve, inv, det     elimination with the largest pivot of each column, on the matrix beside what it is solved for
solve_triangular    one unknown after the other
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Operation = Callable[..., Any]
_LARGEST = 16


def _covered(a: Any) -> bool:
    return a.dtype == tf.float32 and a.shape[-1] == a.shape[-2] and (a.shape[-1] or _LARGEST + 1) <= _LARGEST


def _factor(a: Any) -> Any:
    columns, n = [], a.shape[-1]
    for j in range(n):
        below = (np.arange(n) >= j)[:, None]
        column = tf.where(below, a[..., j : j + 1] / tf.sqrt(a[..., j : j + 1, j : j + 1]), 0.0)
        columns.append(column)
        a = a - column * tf.linalg.matrix_transpose(column)
    return tf.concat(columns, -1)


def cholesky(original: Operation) -> Operation:
    def call(a: Any, upper: bool = False) -> Any:
        a = tf.convert_to_tensor(a)
        if not _covered(a):
            return original(a, upper)
        return tf.linalg.matrix_transpose(_factor(a)) if upper else _factor(a)

    return call


def logdet(original: Operation) -> Operation:
    def call(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        if not _covered(x):
            return original(x)
        factor, n = _factor(x), x.shape[-1]
        return 2.0 * tf.reduce_sum(tf.stack([tf.math.log(factor[..., i, i]) for i in range(n)], -1), -1)

    return call


def _triangular(a: Any, b: Any, lower: bool) -> Any:
    """a^-1 b, where only one half of `a` counts."""
    n = a.shape[-1]
    solved: dict[int, Any] = {}
    for i in range(n) if lower else reversed(range(n)):
        rest = b[..., i : i + 1, :]
        for k, x in solved.items():
            rest = rest - a[..., i : i + 1, k : k + 1] * x
        solved[i] = rest / a[..., i : i + 1, i : i + 1]
    return tf.concat([solved[i] for i in range(n)], -2)


def solve_triangular(original: Operation) -> Operation:
    def call(a: Any, b: Any, lower: bool = False) -> Any:
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        if not _covered(a):
            return original(a, b, lower)
        row = b.shape.rank == a.shape.rank - 1
        x = _triangular(a, b[..., None] if row else b, lower)
        return x[..., 0] if row else x

    return call


def cholesky_inverse(original: Operation) -> Operation:
    def call(a: Any, upper: bool = False) -> Any:
        a = tf.convert_to_tensor(a)
        if not _covered(a):
            return original(a, upper)
        inverse = _triangular(a, _identity(a), lower=not upper)
        turned = tf.linalg.matrix_transpose(inverse)
        return inverse @ turned if upper else turned @ inverse

    return call


def _identity(a: Any) -> Any:
    return tf.zeros_like(a) + np.eye(a.shape[-1], dtype=np.float32)


def _eliminated(a: Any, b: Any) -> tuple[Any, list[Any], Any]:
    """a^-1 b, the pivots, and the sign of the order of their rows."""
    n = a.shape[-1]
    m, pivots, sign = tf.concat([a, b], -1), [], None
    for j in range(n):
        size = tf.where(np.arange(n) >= j, tf.abs(m[..., j]), -1.0)
        chosen = tf.one_hot(tf.argmax(size, -1), n)[..., None]  # the row of the pivot
        here = np.eye(n, dtype=np.float32)[:, j : j + 1]
        row, other = m[..., j : j + 1, :], tf.reduce_sum(tf.where(chosen > 0.5, m, 0.0), -2, keepdims=True)
        m = m + (here - chosen) * (other - row)
        turned = 2.0 * chosen[..., j, 0] - 1.0
        sign = turned if sign is None else sign * turned
        pivots.append(other[..., 0, j])
        scaled = other / other[..., j : j + 1]
        m = tf.where(here > 0.5, scaled, m - m[..., j : j + 1] * scaled)
    return m[..., n:], pivots, sign


def solve(original: Operation) -> Operation:
    def call(a: Any, b: Any) -> Any:
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        if not _covered(a):
            return original(a, b)
        row = b.shape.rank == a.shape.rank - 1
        x = _eliminated(a, b[..., None] if row else b)[0]
        return x[..., 0] if row else x

    return call


def inv(original: Operation) -> Operation:
    def call(a: Any) -> Any:
        a = tf.convert_to_tensor(a)
        return _eliminated(a, _identity(a))[0] if _covered(a) else original(a)

    return call


def det(original: Operation) -> Operation:
    def call(a: Any) -> Any:
        a = tf.convert_to_tensor(a)
        if not _covered(a):
            return original(a)
        _, pivots, sign = _eliminated(a, a[..., :0])
        for pivot in pivots:
            sign = sign * pivot
        return sign

    return call


def slogdet(original: Operation) -> Operation:
    def call(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        if not _covered(x):
            return original(x)
        _, pivots, sign = _eliminated(x, x[..., :0])
        total = tf.zeros_like(sign)
        for pivot in pivots:
            sign, total = sign * tf.sign(pivot), total + tf.math.log(tf.abs(pivot))
        return sign, total

    return call
