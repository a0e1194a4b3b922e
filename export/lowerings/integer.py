"""Norms for runtimes of integers (NPUs, microcontrollers): convolutions, products and one reciprocal root.

Group and instance normalization, x of shape [N, H, W, C]:

    m  = mean over W of the mean over H of x           two stages, each a kernel that NPUs have
    mu = m where each channel is the mean of its group   a 1x1 convolution, 1 / size of the group, or C -> G -> C
    d  = x - mu
    v  = the same means of d * d, plus epsilon         epsilon is the bias of that convolution
    y  = (d * rsqrt(v)) * gamma + beta                 a depthwise 1x1 convolution

Layer and RMS normalization over the last axis: mu and v are 1x1 convolutions of x and of d * d with weights 1 / C.
All weights of a mean are equal, so that 8 bits hold them exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from .parameters import float64
from .rms_norm import scale_of

# A C x C matrix of a mean over groups takes more above this, in bytes and cycles, than a step over the groups between.
_WIDE = 32


def lower_group(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any] | None:
    gamma = float64(layer.gamma) if layer.scale else None
    beta = float64(layer.beta) if layer.center else None

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axis, channels = layer.axis % x.ndim, x.shape[layer.axis]
        groups = getattr(layer, "groups", -1)
        groups = channels if groups == -1 else groups
        pictures, back = _as_pictures(x, axis)
        d = pictures - _of_groups(_over_positions(pictures), groups, 0.0)
        k = ops.rsqrt(_of_groups(_over_positions(d * d), groups, layer.epsilon))
        return ops.cast(back(_scaled(d * k, gamma, beta)), layer.compute_dtype)

    return call


def lower_layer(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any] | None:
    if getattr(layer, "rms_scaling", False) or not _over_one(layer):
        return None
    gamma = None if layer.gamma is None else float64(layer.gamma).reshape(-1)
    beta = None if layer.beta is None else float64(layer.beta).reshape(-1)
    return _over_channels(layer, gamma, beta, centre=True)


def lower_rms(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any] | None:
    scale = scale_of(layer)
    gamma = None if scale is None else scale.reshape(-1)
    return _over_channels(layer, gamma, None, centre=False) if _over_one(layer) else None


def lower_affine(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    s = 1.0 / np.sqrt(float64(layer.moving_variance) + layer.epsilon)
    s = s * float64(layer.gamma) if layer.scale else s
    beta = float64(layer.beta) if layer.center else 0.0
    t = beta - float64(layer.moving_mean) * s

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        pictures, back = _as_pictures(x, (layer.axis if isinstance(layer.axis, int) else layer.axis[0]) % x.ndim)
        return ops.cast(back(_scaled(pictures, s, t)), layer.compute_dtype)

    return call


def _over_one(layer: Any) -> bool:
    return isinstance(layer.axis, int) or len(layer.axis) == 1


def _over_channels(layer: Any, gamma: np.ndarray | None, beta: np.ndarray | None, centre: bool) -> Callable[[Any], Any]:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        d, back = _as_pictures(x, axis % x.ndim)
        to_one = np.full((1, 1, d.shape[-1], 1), 1.0 / d.shape[-1])
        if centre:
            d = d - _convolved(d, to_one)
        k = ops.rsqrt(_convolved(d * d, to_one) + layer.epsilon)
        return ops.cast(back(_scaled(d * k, gamma, beta)), layer.compute_dtype)

    return call


def _as_pictures(x: Any, axis: int) -> tuple[Any, Callable[[Any], Any]]:
    """x as [N, H, W, C], and the way back to its shape."""
    order = [*(i for i in range(x.ndim) if i != axis), axis]
    if order != list(range(x.ndim)):
        moved, back = _as_pictures(ops.transpose(x, order), x.ndim - 1)
        return moved, lambda y: ops.transpose(back(y), np.argsort(order).tolist())
    if x.ndim == 4:
        return x, lambda y: y
    shape = tuple(x.shape)
    rows, channels = math.prod(shape[1:-2]) if len(shape) > 3 else 1, shape[-1]
    columns = shape[-2] if len(shape) > 2 else 1
    return ops.reshape(x, (-1, rows, columns, channels)), lambda y: ops.reshape(y, (-1, *shape[1:]))


def _over_positions(x: Any) -> Any:
    return ops.mean(ops.mean(x, axis=1, keepdims=True), axis=2, keepdims=True)


def _of_groups(m: Any, groups: int, epsilon: float) -> Any:
    """The mean over its group in the place of each channel, plus epsilon."""
    channels = m.shape[-1]
    size = channels // groups
    if groups == channels:
        return m + np.float32(epsilon) if epsilon else m
    member = np.repeat(np.eye(groups), size, axis=0)  # [C, G]
    if channels <= _WIDE:
        spread = _convolved(m, (member @ member.T / size).reshape(1, 1, channels, channels))
    elif groups == 1:
        spread = _convolved(m, np.full((1, 1, channels, 1), 1.0 / size))
    else:
        spread = _convolved(_convolved(m, (member / size)[None, None]), member.T[None, None])
    return spread + np.float32(epsilon) if epsilon else spread


def _scaled(x: Any, gamma: np.ndarray | None, beta: np.ndarray | None) -> Any:
    if gamma is None and beta is None:
        return x
    kernel = np.ones(x.shape[-1]) if gamma is None else gamma
    y = ops.depthwise_conv(
        x, kernel.reshape(1, 1, -1, 1).astype("float32"), strides=1, padding="valid", data_format="channels_last"
    )
    return y if beta is None else y + beta.astype("float32")


def _convolved(x: Any, kernel: np.ndarray) -> Any:
    return ops.conv(x, kernel.astype("float32"), strides=1, padding="valid", data_format="channels_last")
