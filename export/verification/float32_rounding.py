"""How far the model's own float32 results are from what it would compute if it hardly rounded.

r = max |y32 - y64| / scale        y32: the model in float32, y64: the same weights and inputs in float64

An artifact rounds as often as the model does, in another order. So where it is further from the model than the
tolerance, r says whether rounding explains that. One result with few numbers can be right by luck: such an input is
computed again with its numbers moved a little, and the largest r counts.

Where a layer has no float64 (and on backends on which Keras narrows it), r is bounded by backward error: computing a
layer in float32 is computing it exactly from weights that are off by rounding steps, and then rounding the result. So
every weight and every result of a layer is moved by one step, up or down at random. Whole numbers stay as they are:
they are ids, flags, mask values, or exact. Inputs stay too: the artifact gets the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import keras
import numpy as np

from ..model.facts import ModelFacts
from ..model.keras_graph import layers_below
from ..model.patching import patched_calls
from ..model.precision import in_float64
from ..model.user_inputs import Arrays

_DRAWS = 4  # of random steps, and of inputs that are moved a little
_FEW = 1024  # numbers in all outputs: fewer may be right by luck
_LITTLE = 2.0**-12

Run = Callable[[ModelFacts, Arrays], Arrays]


@dataclass(frozen=True)
class Rounding:
    """The largest share of its scale by which rounding moves each output, and how that was found out."""

    shares: list[float]
    how: str


def rounding(facts: ModelFacts, run: Run, arrays: Arrays, measure: Callable[[Arrays, Arrays], list[float]]) -> Rounding:
    """How far rounding moves the outputs for `arrays`; `measure(outputs, others)` takes the share of each output."""
    y32 = run(facts, arrays)
    try:
        y64 = run_in_float64(facts, run, arrays)
    except Exception:  # a layer without float64: each backend raises kinds of its own
        found = [measure(y32, _stepped(facts, run, arrays, seed)) for seed in range(_DRAWS)]
        return Rounding(_largest(found), "by steps of float32 in weights and layers")
    found = [measure(y32, y64)]
    if sum(y.size for y in y32) < _FEW:
        for seed in range(1, _DRAWS):
            moved = [_moved(x, np.random.default_rng(seed)) for x in arrays]
            found.append(measure(run(facts, moved), run_in_float64(facts, run, moved)))
    return Rounding(_largest(found), "in float64")


def run_in_float64(facts: ModelFacts, run: Run, arrays: Arrays) -> Arrays:
    """What the model computes in float64.

    Raises:
        Exception: If a layer, or the backend, does not compute in float64.
    """
    with in_float64(facts.model):
        return run(replace(facts, calls=None), [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays])


def _stepped(facts: ModelFacts, run: Run, arrays: Arrays, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)

    def step(value: Any) -> Any:
        if not keras.ops.is_tensor(value) or keras.backend.standardize_dtype(value.dtype) != "float32":
            return value
        try:
            numbers = keras.ops.convert_to_numpy(value)
        except (NotImplementedError, TypeError):  # inside of a compiled function or a loop there are none
            return value
        return keras.ops.convert_to_tensor(_one_step(numbers, rng))

    def rounded(layer: Any) -> Callable[..., Any] | None:
        original = layer.call
        if isinstance(layer, keras.layers.InputLayer) or layers_below(layer):
            return None

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return keras.tree.map_structure(step, original(*args, **kwargs))

        return call

    weights = [v for v in facts.model.variables if v.dtype == "float32"]
    state = [(v, keras.ops.convert_to_tensor(_one_step(keras.ops.convert_to_numpy(v), rng))) for v in weights]
    with keras.StatelessScope(state_mapping=state), patched_calls(layers_below(facts.model), rounded):
        return run(replace(facts, calls=None), arrays)


def _one_step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float that is no whole number moved by one rounding step, up or down."""
    to = np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(x.dtype)
    return np.where(x == np.round(x), x, np.nextafter(x, to))


def _moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float that is no whole number moved by a small share of itself."""
    if x.dtype.kind != "f":
        return x
    other = (x * (1 + _LITTLE * rng.uniform(-1, 1, x.shape))).astype(x.dtype)
    return np.where(x == np.round(x), x, other)


def _largest(found: list[list[float]]) -> list[float]:
    return [max(shares) for shares in zip(*found, strict=True)]
