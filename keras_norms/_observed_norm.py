"""What one norm is given in a run of a model, and what that shows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_norms import _axes
from keras_norms._batch_statistics import moments_of
from keras_norms._norm_calls import NormCall, as_numpy
from keras_norms._norms import BATCH_NORMS
from keras_norms._pooled_moments import Array, PooledMoments, rows_of
from keras_norms.batch_renormalization import BatchRenormalization
from keras_norms.layer_normalization import LayerNormalization
from keras_norms.norm_report import Channels, Clipping, NormStatistics

_DEAD_GAMMA = 1e-3
_DEAD_VARIANCE = 1e-2  # of epsilon
_FLOAT16_LARGEST = 65504.0
_FLOAT16_SMALLEST = 6.1e-5  # normal
_FLOAT16_STEPS = 2048.0  # steps of float16 up to a number
_TINY = 1e-30  # in place of a division by zero


class Observed:
    """What one norm was given."""

    def __init__(self, name: str, layer: Any) -> None:
        self.name, self.layer = name, layer
        self.is_batch = isinstance(layer, BATCH_NORMS)
        self.largest: float | None = None
        self.pooled: PooledMoments | None = None
        self.batches: list[PooledMoments] = []
        self.variances: list[Array] = []  # of a norm of the sample, for each sample and group
        self.far = 0.0  # its largest |mean| / deviation

    def add(self, call: NormCall) -> None:
        """One call."""
        x = as_numpy(call.inputs, self.layer)
        self.largest = max(self.largest or 0.0, float(np.max(np.abs(x), initial=0.0)))
        if self.is_batch:
            slices = list(_ghosts(call, getattr(self.layer, "virtual_batch_size", None)))
            self.batches += [part for part in slices if part.count]
            self.pooled = self.pooled or PooledMoments(len(slices[0].mean))
            for part in slices:
                self.pooled.merge(part)
        else:
            mean, variance = sample_moments(call, x)
            self.variances.append(variance.reshape(-1))
            ratio = np.abs(mean) / np.sqrt(variance + max(self.layer.epsilon, _TINY))
            self.far = max(self.far, float(np.max(ratio, initial=0.0)))

    # The results

    def result(self) -> NormStatistics:
        """What it shows."""
        gamma = getattr(self.layer, "gamma", None)
        dead = 0 if gamma is None else int(np.sum(np.abs(ops.convert_to_numpy(gamma)) < _DEAD_GAMMA))
        variance = self.pooled.variance if self.pooled is not None else np.concatenate(self.variances)
        epsilon = self.layer.epsilon
        share = float(np.max(epsilon / np.maximum(variance + epsilon, _TINY), initial=0.0))
        channels = self.by_channel()
        off = None if channels is None else np.abs(channels.mean_off)
        names = ("gamma", "beta", "moving_mean")
        weight = next((w for name in names if (w := getattr(self.layer, name, None)) is not None), None)
        return NormStatistics(
            norm=self.name,
            kind=type(self.layer).__name__,
            channels=len(variance) if weight is None else int(np.prod(weight.shape)),
            dead_gamma=dead,
            dead_variance=int(np.sum(variance < _DEAD_VARIANCE * epsilon)),
            mean_off=None if off is None else float(np.max(off)),
            deviation_smallest=None if channels is None else min(channels.deviation),
            deviation_largest=None if channels is None else max(channels.deviation),
            batch_mean_off=None if channels is None else float(np.sqrt(np.mean(np.square(channels.batch_mean_off)))),
            epsilon=epsilon,
            variance_quantiles=tuple(map(float, np.quantile(variance, np.linspace(0, 1, 21)))) if len(variance) else (),
            epsilon_share=share,
            largest_input=self.largest or 0.0,
            float16=self.in_float16(variance),
            clipping=self.clipping(),
            by_channel=channels,
        )

    def by_channel(self) -> Channels | None:
        """Data and batches beside the moving statistics."""
        if self.pooled is None or not self.batches:
            return None
        mean, sigma = moving(self.layer)
        data = np.sqrt(self.pooled.variance + max(self.layer.epsilon, _TINY))
        batch = np.array([part.mean for part in self.batches])
        off = np.sqrt(np.mean(((batch - mean) / sigma) ** 2, axis=0))
        return Channels(
            tuple(map(float, (self.pooled.mean - mean) / sigma)),
            tuple(map(float, data / sigma)),
            tuple(map(float, off)),
        )

    def clipping(self) -> Clipping | None:
        """How far batch renorm corrects."""
        if not isinstance(self.layer, BatchRenormalization) or not self.batches:
            return None
        r_max, d_max = self.layer.schedule(int(ops.convert_to_numpy(self.layer.step)))
        mean, sigma = moving(self.layer)
        sigma_b = np.sqrt(np.array([part.variance for part in self.batches]) + self.layer.epsilon)
        r = sigma_b / sigma
        d = np.abs(np.array([part.mean for part in self.batches]) - mean) / sigma
        return Clipping(
            r_max,
            d_max,
            r=float(np.mean(r)),
            d=float(np.mean(d)),
            r_clipped=float(np.mean((r > r_max) | (r < 1.0 / r_max))),
            d_clipped=float(np.mean(d > d_max)),
        )

    def in_float16(self, variance: Array) -> tuple[str, ...]:
        """What half precision would do, where the norm or its input is in it."""
        found = []
        largest = self.largest or 0.0
        if largest > _FLOAT16_LARGEST:
            found.append(f"inputs reach {largest:.3g}, beyond 65,504: they become infinite")
        elif largest > np.sqrt(_FLOAT16_LARGEST):
            found.append(f"inputs reach {largest:.3g}: their squares become infinite")
        smallest = float(np.min(variance + self.layer.epsilon, initial=np.inf))
        if smallest < _FLOAT16_SMALLEST:
            found.append(f"variance + epsilon comes down to {smallest:.2g}, below 6.1e-5: it loses digits or becomes 0")
        if self.pooled is not None:
            deviation = np.sqrt(self.pooled.variance + max(self.layer.epsilon, _TINY))
            far = float(np.max(np.abs(self.pooled.mean) / deviation, initial=0.0))
        else:
            far = self.far
        if far > _FLOAT16_STEPS / 64:
            found.append(f"a mean is {far:.3g} deviations from zero: a deviation has fewer than 64 steps there")
        return tuple(found)


def moving(layer: Any) -> tuple[Array, Array]:
    """The moving mean and deviation of a batch norm."""
    mean, variance = (ops.convert_to_numpy(w).astype("float64") for w in (layer.moving_mean, layer.moving_variance))
    return mean, np.sqrt(np.maximum(variance, 0.0) + max(layer.epsilon, _TINY))


def _ghosts(call: NormCall, size: int | None) -> list[PooledMoments]:
    """The moments of the batch, or of each slice of it that has statistics of its own."""
    if size is None:
        return [moments_of(call)]
    x = as_numpy(call.inputs, call.layer)
    axis = call.layer.axis % x.ndim
    mask = None if call.mask is None else as_numpy(_axes.expand_mask(call.mask, call.inputs, axis), call.layer)
    found = []
    for start in range(0, len(x), size):
        part = PooledMoments(x.shape[axis])
        cut = slice(start, start + size)
        part.add(rows_of(x[cut], axis, None if mask is None else mask[cut]))
        found.append(part)
    return found


def sample_moments(call: NormCall, x: Array) -> tuple[Array, Array]:
    """Mean and variance of each sample and group that count, of a group, instance or layer norm."""
    layer, x = call.layer, x.astype("float64")
    if isinstance(layer, (keras.layers.LayerNormalization, LayerNormalization)):
        axes = tuple(layer.axis) if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
        return x.mean(axis=axes), x.var(axis=axes)
    axis = layer.axis % x.ndim
    channels = x.shape[axis]
    groups = getattr(layer, "groups", -1)
    groups = channels if groups == -1 else groups
    rows = np.moveaxis(x, axis, -1).reshape(len(x), -1, groups, channels // groups)
    if call.mask is None:
        return rows.mean(axis=(1, 3)), rows.var(axis=(1, 3))
    mask = as_numpy(_axes.expand_mask(call.mask, call.inputs, axis), layer)
    mask = np.broadcast_to(mask, tuple(1 if a == axis else n for a, n in enumerate(x.shape)))
    counted = np.moveaxis(mask, axis, -1).reshape(len(x), -1, 1, 1)
    some = counted.any(axis=(1, 2, 3))
    where = np.broadcast_to(counted, rows.shape)[some]
    return rows[some].mean(axis=(1, 3), where=where), rows[some].var(axis=(1, 3), where=where)
