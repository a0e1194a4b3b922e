"""Inverse trigonometric, hyperbolic and inverse hyperbolic functions of operations that TFLite has.

    arctan x = atan2(x, 1)    arcsin x = atan2(x, r)    arccos x = atan2(r, x)    with r = sqrt((1 - x) (1 + x))
    tan x = sin x / cos x
    sinh x = (e + e / (e + 1)) / 2 with e = exp(x) - 1    below 1, from there h - 1 / (4 h) with h = exp(x) / 2
    cosh x = h + 1 / (4 h)
    arcsinh x = log1p(x + x^2 / (1 + sqrt(x^2 + 1)))
    arccosh x = log1p(t + sqrt(t (t + 2))) with t = x - 1
    arctanh x = log1p(2 x / (1 - x)) / 2

Odd functions are computed of |x| and take the sign of x. From 10,000 on arcsinh and arccosh are log x + log 2, whose
rest is below a rounding step: the square of a large number is infinite. h is half the square of exp(x / 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from .portable_logarithms import expm1, log1p

_LARGE = 1e4


def arctan(x: Any) -> Any:
    return tf.atan2(x, tf.ones_like(x))


def arcsin(x: Any) -> Any:
    return tf.atan2(x, tf.sqrt((1.0 - x) * (1.0 + x)))


def arccos(x: Any) -> Any:
    return tf.atan2(tf.sqrt((1.0 - x) * (1.0 + x)), x)


def tan(x: Any) -> Any:
    return tf.sin(x) / tf.cos(x)


def _odd(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        return tf.sign(x) * function(tf.abs(x))

    return call


def _half_exponential(x: Any) -> Any:
    root = tf.exp(x / 2.0)
    return 0.5 * root * root


@_odd
def sinh(x: Any) -> Any:
    near, far = expm1(tf.minimum(x, 1.0)), _half_exponential(x)
    return tf.where(x < 1.0, 0.5 * (near + near / (near + 1.0)), far - 0.25 / far)


def cosh(x: Any) -> Any:
    half = _half_exponential(tf.abs(x))
    return half + 0.25 / half


@_odd
def arcsinh(x: Any) -> Any:
    near = tf.minimum(x, _LARGE)
    square = near * near
    far = tf.math.log(tf.maximum(x, 1.0)) + math.log(2.0)
    return tf.where(x < _LARGE, log1p(near + square / (1.0 + tf.sqrt(square + 1.0))), far)


def arccosh(x: Any) -> Any:
    above = tf.minimum(x, _LARGE) - 1.0
    far = tf.math.log(tf.maximum(x, 1.0)) + math.log(2.0)
    return tf.where(x > _LARGE, far, log1p(above + tf.sqrt(above * (above + 2.0))))


@_odd
def arctanh(x: Any) -> Any:
    return 0.5 * log1p(2.0 * x / (1.0 - x))
