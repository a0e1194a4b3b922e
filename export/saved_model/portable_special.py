"""Functions that neither format has, of operations that both have.

signbit x    x < 0 or 1 / x < 0, which tells -0 from 0
erfinv x     x p(w) with w = -log((1 - x) (1 + x)), a polynomial below 5 and one in sqrt(w) from there
             (M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011, single precision)
i0 x         p((x / 3.75)^2) up to 3.75, and exp(x) / sqrt(x) q(3.75 / x) from there
             (Abramowitz and Stegun, 9.8.1 and 9.8.2; off by less than 2e-7)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_NEAR = [1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087]
_NEAR += [-4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08]
_FAR = [2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773]
_FAR += [-0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257]
_BESSEL_NEAR = [1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813]
_BESSEL_FAR = [0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281]
_BESSEL_FAR += [-0.02057706, 0.02635537, -0.01647633, 0.00392377]


def signbit(x: Any) -> Any:
    return tf.logical_or(x < 0.0, 1.0 / x < 0.0)


def erfinv(x: Any) -> Any:
    depth = -tf.math.log((1.0 - x) * (1.0 + x))
    finite = tf.minimum(depth, 90.0)
    near, far = _polynomial(finite - 2.5, _NEAR), _polynomial(tf.sqrt(tf.maximum(finite, 5.0)) - 3.0, _FAR)
    factor = tf.where(finite < 5.0, near, far)
    return tf.where(tf.abs(x) < 1.0, x * factor, x / (1.0 - tf.abs(x)))


def i0(x: Any) -> Any:
    size = tf.abs(x)
    ratio = tf.minimum(size / 3.75, 1.0)
    far = tf.maximum(size, 3.75)
    beyond = tf.exp(far) / tf.sqrt(far) * _polynomial(3.75 / far, _BESSEL_FAR)
    return tf.where(size < 3.75, _polynomial(ratio * ratio, _BESSEL_NEAR), beyond)


def _polynomial(x: Any, factors: Sequence[float]) -> Any:
    """The sum of factors[n] * x^n, by Horner's rule."""
    total = tf.fill(tf.shape(x), tf.constant(factors[-1], x.dtype))
    for factor in reversed(factors[:-1]):
        total = total * x + factor
    return total
