"""Outputs that rounding alone moves too far, judged layer by layer: each from what the file has before it.

Rounding that grows from layer to layer, and results that are nothing but rounding (the mean of what a norm has made
zero on average), leave nothing to compare at the end. So the model runs in float64, and the result of each layer is
looked for among the values of the file. If it stands there, within 1e-5 of its scale or within 8 times what a rounding
step of its inputs does to it, the file's value is handed on: the next layer is computed from what the file feeds it,
and nothing adds up. A result that is not found, because the file merged it or because it is wrong, is handed on as
computed. An output must then be as near as any other.

"8 times" is no more than 1e-3 of a result, unless it is nothing but rounding: then it may be all of it. And it counts
only if the step moves the result by less than 1e-5 of the inputs' scale, if the opposite step moves it the other way,
and if all inputs were found in the file or are the model's own. A layer that makes any number of a rounding step (the
sine of 1e9 times its input) tells nothing, nor does the zero of a wrong input.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple

import keras
import numpy as np

from ...model.facts import ModelFacts
from ...model.parts_below import operations_below
from ...model.patching import patched_calls
from ...model.precision import in_float64
from ...model.relative_error import absolute_errors, largest, scale
from ...model.user_inputs import Arrays
from ..tolerance import FACTOR, MOST_OFF
from .found_values import Values

_SAME = 1e-5
_SMALL = 1e-5  # a step that moves a result by less of its inputs' scale makes no other result of it
_STEP = float(np.finfo("float32").eps) / 2
_BENT = 0.1  # of what a step does: how far from linear it may be
_DRAWS = 2


class Expected(NamedTuple):
    """An output as computed from what the file has before it, and how far off it may be whatever its scale is."""

    value: np.ndarray
    slack: float


def layer_by_layer(facts: ModelFacts, arrays: Arrays, values: Values) -> list[Expected]:
    """The outputs of the model for `arrays`, each layer computed from the values in the file where they are found.

    Raises:
        Exception: If a layer, or the backend, does not compute in float64.
    """
    replay = _Replay(values)
    wide = [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays]
    with in_float64(facts.model), patched_calls(operations_below(facts.model), replay.of):
        outputs = facts.signature.call(facts.model, [replay.given(x) for x in wide])
    return [Expected(keras.ops.convert_to_numpy(y), replay.slack.get(id(y), 0.0)) for y in outputs]


class _Replay:
    """One run of a model: which tensors are the file's, and how far off each result may be."""

    def __init__(self, values: Values) -> None:
        self.slack: dict[int, float] = {}
        self._values = values
        self._of_file: set[int] = set()
        self._kept: list[Any] = []  # the tensors stay alive: a freed one's id would be given to another
        self._trying = False

    def given(self, x: np.ndarray) -> Any:
        """An input as a tensor, which is the file's own too."""
        tensor = keras.ops.convert_to_tensor(x, x.dtype.name)
        self._kept.append(tensor)
        self._of_file.add(id(tensor))
        return tensor

    def of(self, operation: Any) -> Callable[..., Any] | None:
        """The call of an operation whose results are the file's where it has them."""
        original = operation.call
        if isinstance(operation, (keras.layers.InputLayer, keras.Model)):
            return None

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            results = original(*args, **kwargs)
            if self._trying:
                return results
            taken = [x for x in keras.tree.flatten((args, kwargs)) if _numbers(x) is not None]
            moved = self._moved(original, args, kwargs)
            found = [self._handed_on(y, i, taken, moved) for i, y in enumerate(keras.tree.flatten(results))]
            return keras.tree.pack_sequence_as(results, found)

        return call

    def _moved(self, call: Callable[..., Any], args: Any, kwargs: Any) -> list[list[Any]]:
        """The results for inputs that are moved by a rounding step of their scale: each draw, and its opposite."""
        found = []
        self._trying = True
        try:
            for seed, sign in itertools.product(range(_DRAWS), (1.0, -1.0)):
                step = partial(_stepped, rng=np.random.default_rng(seed), sign=sign)
                results = call(*keras.tree.map_structure(step, args), **keras.tree.map_structure(step, kwargs))
                found.append([_numbers(y) for y in keras.tree.flatten(results)])
        finally:
            self._trying = False
        return found

    def _handed_on(self, y: Any, i: int, taken: list[Any], moved: list[list[Any]]) -> Any:
        exact = _numbers(y)
        if exact is None or not np.isfinite(exact).all():
            return y
        by, rounding = self._rounding(exact, [results[i] for results in moved], taken)
        found = self._values.nearest_within(exact, max(_SAME * scale(exact), rounding))
        tensor = y if found is None else keras.ops.convert_to_tensor(found.astype("float64"), "float64")
        self._kept.append(tensor)
        if found is not None:
            # What is handed on may be off to one side and what a runtime computes to the other. Behind a layer both are
            # as much larger or smaller as what a step of its inputs makes of its result.
            before = [self.slack.get(id(x), 0.0) / (_STEP * scale(_numbers(x))) for x in taken if scale(_numbers(x))]
            self.slack[id(tensor)] = max(2 * rounding, by * max(before, default=0.0))
            self._of_file.add(id(tensor))
        return tensor

    def _rounding(self, exact: np.ndarray, moved: list[np.ndarray], taken: list[Any]) -> tuple[float, float]:
        """How far a rounding step of its inputs moves a result, and how far off it may be in the file by that."""
        by = max(largest(absolute_errors(exact, y)) for y in moved)
        reach = max((scale(_numbers(x)) for x in taken), default=0.0)
        if not (by <= _SMALL * reach and all(id(x) in self._of_file for x in taken)):
            return by, 0.0
        # A step and its opposite move what is linear in them to either side of the result, and a wave to anywhere.
        bent = max(
            largest(absolute_errors(2.0 * exact, y + back)) for y, back in zip(moved[::2], moved[1::2], strict=True)
        )
        if bent > _BENT * by:
            return by, 0.0
        nothing_else = scale(exact) <= FACTOR * by
        return by, FACTOR * by if nothing_else else min(FACTOR * by, MOST_OFF * scale(exact))


def _numbers(x: Any) -> Any:
    """The numbers of a float tensor; None of anything else, and where a compiled function has none."""
    if not keras.ops.is_tensor(x) or "float" not in keras.backend.standardize_dtype(x.dtype):
        return None
    try:
        return keras.ops.convert_to_numpy(x)
    except (NotImplementedError, TypeError):
        return None


def _stepped(x: Any, rng: np.random.Generator, sign: float) -> Any:
    numbers = _numbers(x)
    if numbers is None:
        return x
    steps = sign * rng.choice([-1.0, 1.0], numbers.shape) * scale(numbers) * _STEP
    return keras.ops.convert_to_tensor(numbers + np.where(numbers == np.round(numbers), 0.0, steps), numbers.dtype.name)
