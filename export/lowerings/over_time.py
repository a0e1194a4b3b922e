"""A layer over time: the layer once, on the samples of all steps.

    y[n, t] = layer(x[n, t])          is one call on x with batch and time as one axis, [N, T, ...] -> [N T, ...]

if the layer treats samples apart, as layers do at inference. Keras calls it step by step, so that a graph holds as many
copies as there are steps; where their number is free, converters fail or keep the number that they traced.

Whether it treats them apart is tried, with the weights as they are: a few steps at once, and one by one. If time is
free, Keras' own way is no way, and the verification of the file judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..model.keras_graph import named_in_call
from ..model.sizes import FREE_SIZES

_STEPS = 3
_AGREES = 1e-4  # of the largest value: float32 rounds differently from batch to batch
_MOST_NUMBERS = 4_000_000


def lower(layer: Any, _channels_first: bool = False) -> Callable[..., Any] | None:
    shape = (layer.get_build_config() or {}).get("input_shape")
    if shape is None or (shape[1] is not None and not _samples_apart(layer, shape)):
        return None

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return _apart(_at_once(layer.layer, inputs, training, mask), inputs)

    return call


def _at_once(inner: Any, inputs: Any, training: bool | None, mask: Any) -> Any:
    named = {"training": training, "mask": None if mask is None else _merged(mask)}
    taken = named_in_call(inner) - ({"mask"} if mask is None else set())
    return inner.call(_merged(inputs), **{name: named[name] for name in taken})


def _merged(x: Any) -> Any:
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _apart(y: Any, inputs: Any) -> Any:
    """[N T, ...] -> [N, T, ...], with one size left to the reshape, so that it seldom reads sizes at run time."""
    batch, time = ops.shape(inputs)[:2]
    lead = (batch, -1) if inputs.shape[1] is None and inputs.shape[0] is not None else (-1, time)
    return ops.reshape(y, (*lead, *ops.shape(y)[1:]))


def _samples_apart(layer: Any, shape: Sequence[int | None]) -> bool:
    batch, _, *rest = shape
    for sizes in _sizes(rest):
        x = np.random.default_rng(0).uniform(0, 2, (batch or 1, _STEPS, *sizes)).astype("float32")  # also ids: 0 and 1
        try:
            with keras.StatelessScope():
                once = _apart(_at_once(layer.layer, x, False, None), x)
                by_step = type(layer).call(layer, x, training=False)
        except Exception:  # a size that does not suit the layer, or a layer that fixes its batch
            continue
        if not hasattr(once, "shape") or once.shape != by_step.shape:
            return False
        once, by_step = (ops.convert_to_numpy(y).astype(np.float64) for y in (once, by_step))
        scale = np.max(np.abs(by_step), initial=0.0)
        return bool(np.max(np.abs(once - by_step), initial=0.0) <= _AGREES * scale)
    return False


def _sizes(rest: Sequence[int | None]) -> Iterator[list[int]]:
    """`rest` with a number in the place of every free size: one after the other of those that a model is tried with."""
    for free in FREE_SIZES if None in rest else FREE_SIZES[:1]:
        sizes = [free if n is None else n for n in rest]
        if math.prod(sizes) <= _MOST_NUMBERS:
            yield sizes
