"""log(1 + x) and exp(x) - 1 as they are near zero, where the sum with 1 keeps nothing of x.

    log(1 + x) = x - x^2 / 2 + x^3 / 3 - ...        |x| < 0.1
    exp(x) - 1 = x + x^2 / 2! + x^3 / 3! + ...      |x| < 0.25

Seven terms are exact to a rounding step of float32 there. Neither format has the functions; where a converter has them
it writes the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_TERMS = 7


def log1p(x: Any) -> Any:
    series = _polynomial(x, [(-1) ** n / (n + 1) for n in range(_TERMS)])
    return tf.where(tf.abs(x) < 0.1, series, tf.math.log(x + 1.0))


def expm1(x: Any) -> Any:
    series = _polynomial(x, [1 / math.factorial(n + 1) for n in range(_TERMS)])
    return tf.where(tf.abs(x) < 0.25, series, tf.exp(x) - 1.0)


def _polynomial(x: Any, factors: Sequence[float]) -> Any:
    """The sum of factors[n] * x^(n + 1), by Horner's rule. Far from zero, where it is not used, it stays finite."""
    near = tf.clip_by_value(x, -1.0, 1.0)
    total = near * factors[-1]
    for factor in reversed(factors[:-1]):
        total = (total + factor) * near
    return total
