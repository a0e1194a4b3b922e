"""How far the model's own float32 results are from what it would compute if it hardly rounded.

r = max |y32 - y64| / scale        y32: the model in float32, y64: the same weights and inputs in float64

An artifact rounds as often as the model does, in another order. So where it is further from the model than the
tolerance, r says whether rounding explains that. One result with few numbers can be right by luck: such an input is
computed again with its numbers moved a little, and the largest r counts.

A layer that has no float64 stays in float32 there, and so do all on backends on which Keras narrows it. What they round
is bounded by backward error: computing a layer in float32 is computing it exactly from weights that are off by rounding
steps, and then rounding the result. So every weight and every result of a layer is moved by one step, up or down at
random. Whole numbers stay as they are: they are ids, flags, mask values, or exact. Inputs stay too: the artifact gets
the same.

Keras may also be exact where no other kernels are: the mean of equal numbers is their sum times 1 / n, a rounding step
off, and a norm divides what is left of them by sqrt(epsilon). So a result that is further off than r explains is
measured against these steps too. There what a norm takes is moved as well, and the mean that it subtracts, and x -
tanh(x) by a step of x. On inputs that are made to break norms so are sigmoid, tanh and softmax by a step of 1, and
silu, gelu and mish by one of their argument: sigmoid(-100) is 0 in kernels that are exact to such a step.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import keras
import numpy as np

from ..model.facts import ModelFacts
from ..model.keras_graph import layers_below
from ..model.patching import patched_calls
from ..model.user_inputs import Arrays
from .float64_run import Run, run_where_in_float64
from .recording import takes_statistics

_DRAWS = 4  # of random steps, and of inputs that are moved a little
_FEW = 1024  # numbers in all outputs: fewer may be right by luck
_LITTLE = 2.0**-12
_ALL_WHOLE = 2.0**23
STEP = float(np.finfo("float32").eps)  # of 1
_BOUNDED = {"sigmoid", "tanh", "softmax"}
_BOUNDED_PARTS = {"silu", "gelu", "mish"}  # of their argument
_DIFFERENCES = {"tanh_shrink"}
BY_STEPS = "by steps of float32 in weights and layers"


@dataclass(frozen=True)
class Rounding:
    """The largest share of its scale by which rounding moves each output, and how that was found out."""

    shares: list[float]
    how: str

    def or_by(self, other: Rounding) -> Rounding:
        """The larger share of each output, and how these were found out."""
        shares = _largest([self.shares, other.shares])
        hows = [one.how for one in (self, other) if any(map(operator.eq, one.shares, shares))]
        return Rounding(shares, " or ".join(dict.fromkeys(hows)))


def rounding(facts: ModelFacts, run: Run, arrays: Arrays, measure: Callable[[Arrays, Arrays], list[float]]) -> Rounding:
    """How far rounding moves the outputs for `arrays`; `measure(outputs, others)` takes the share of each output."""
    y32 = run(facts, arrays)
    try:
        y64, narrow = run_where_in_float64(facts, run, arrays)
    except Exception:  # a backend without float64: each raises kinds of its own
        return rounding_by_steps(facts, run, arrays, measure)
    found = [measure(y32, y64)]
    if sum(y.size for y in y32) < _FEW:
        for seed in range(1, _DRAWS):
            moved = [_moved(x, np.random.default_rng(seed)) for x in arrays]
            found.append(measure(run(facts, moved), run_where_in_float64(facts, run, moved)[0]))
    rounded = Rounding(_largest(found), "in float64")
    return rounded.or_by(rounding_by_steps(facts, run, arrays, measure)) if narrow else rounded


def rounding_by_steps(
    facts: ModelFacts,
    run: Run,
    arrays: Arrays,
    measure: Callable[[Arrays, Arrays], list[float]],
    *,
    bounded: bool = False,
) -> Rounding:
    """The same, by steps of float32 in weights and layers alone; `bounded` functions too, by a step of 1."""
    y32 = run(facts, arrays)
    found = [measure(y32, _stepped(facts, run, arrays, seed, bounded)) for seed in range(_DRAWS)]
    return Rounding(_largest(found), BY_STEPS)


def _stepped(facts: ModelFacts, run: Run, arrays: Arrays, seed: int, bounded: bool) -> Arrays:
    steps = _Steps(np.random.default_rng(seed), _DIFFERENCES | (_BOUNDED_PARTS if bounded else set()), bounded)
    weights = [v for v in facts.model.variables if v.dtype == "float32"]
    state = [(v, keras.ops.convert_to_tensor(_one_step(keras.ops.convert_to_numpy(v), steps.rng))) for v in weights]
    layers = layers_below(facts.model)
    with ExitStack() as stack:
        stack.enter_context(keras.StatelessScope(state_mapping=state))
        stack.enter_context(patched_calls(layers, steps.in_call))
        for name in ("activation", "recurrent_activation"):
            having = [layer for layer in layers if name in vars(layer)]
            replacement = lambda layer, name=name: steps.in_function(getattr(layer, name))  # noqa: E731
            stack.enter_context(patched_calls(having, replacement, name))
        return run(replace(facts, calls=None), arrays)


@dataclass(frozen=True)
class _Steps:
    """Random steps: functions in `of_argument` move by one of their argument, and if `bounded` others by one of 1."""

    rng: np.random.Generator
    of_argument: set[str]
    bounded: bool

    def in_call(self, layer: Any) -> Callable[..., Any] | None:
        """The call of a layer, its results moved, and of a norm also what it takes and the mean that it subtracts."""
        original, norm = layer.call, takes_statistics(layer)
        if isinstance(layer, keras.layers.InputLayer) or layers_below(layer):
            return None

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            args = (keras.tree.map_structure(self._taken, args[0]), *args[1:]) if norm and args else args
            results = keras.tree.map_structure(self._given, original(*args, **kwargs))
            return _changed(results, lambda y: _off_centre(args[0], y, self.rng)) if norm and args else results

        return call

    def in_function(self, function: Any) -> Callable[..., Any] | None:
        """An activation that moves by a step of its own, if it is one of these."""
        name = getattr(function, "__name__", None)
        if name not in self.of_argument | (_BOUNDED if self.bounded else set()):
            return None

        def call(value: Any, *args: Any, **kwargs: Any) -> Any:
            def moved(y: np.ndarray) -> np.ndarray:
                of = np.abs(keras.ops.convert_to_numpy(value)) if name in self.of_argument else 1.0
                return np.asarray(y + STEP * of * np.sign(_either_way(y, self.rng)))

            return keras.tree.map_structure(lambda y: _changed(y, moved), function(value, *args, **kwargs))

        return call

    def _given(self, value: Any) -> Any:
        return _changed(value, lambda x: _one_step(x, self.rng))

    def _taken(self, value: Any) -> Any:
        return _changed(value, lambda x: np.nextafter(x, _either_way(x, self.rng)))


def _changed(value: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A tensor of float32 changed, anything else as it is."""
    if not keras.ops.is_tensor(value) or keras.backend.standardize_dtype(value.dtype) != "float32":
        return value
    try:
        numbers = keras.ops.convert_to_numpy(value)
    except (NotImplementedError, TypeError):  # inside of a compiled function or a loop there are none
        return value
    return keras.ops.convert_to_tensor(np.asarray(change(numbers), "float32"))


def _off_centre(taken: Any, given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a norm gives where the mean that it subtracts is off by a rounding step of what it takes."""
    x = np.asarray(keras.ops.convert_to_numpy(taken), np.float64)
    spread = float(np.ptp(x)) if x.size else 0.0
    if not spread or not given.size:
        return given
    off = float(rng.choice([-1.0, 1.0])) * STEP * float(np.abs(x).max()) * float(np.ptp(given)) / spread
    return np.asarray(given + off)


def _either_way(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(x.dtype)


def _one_step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float that is no whole number moved by one rounding step, up or down. All are whole from 2^23 on."""
    whole = (x == np.round(x)) & (np.abs(x) < _ALL_WHOLE)
    return np.where(whole, x, np.nextafter(x, _either_way(x, rng)))


def _moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float that is no whole number moved by a small share of itself."""
    if x.dtype.kind != "f":
        return x
    other = (x * (1 + _LITTLE * rng.uniform(-1, 1, x.shape))).astype(x.dtype)
    return np.where(x == np.round(x), x, other)


def _largest(found: list[list[float]]) -> list[float]:
    return [max(shares) for shares in zip(*found, strict=True)]
