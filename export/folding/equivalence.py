"""Compares a folded model with its original, layer by layer, on the same random tensors.

Both graphs run side by side. A tensor of the folded model that stands for one of the original is compared with it, and
the folded model goes on with the tensor of the original. So an error neither grows nor vanishes in later layers, and
the first layer that differs is known. Only within a fold does the folded model use tensors of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from ..errors import FoldError, reason_of
from ..model.keras_graph import input_structure
from .call_graph import Graph, Key, Value
from .lockstep import EPSILON, Pairs, as_tensors, difference, inference, side_by_side
from .symbolic_trace import left_as_found
from .trial_inputs import check_shapes, is_free, random_input, shapes_to_try, size_search

# How much one layer may round, in units of the last place: it sums some thousand products in another order, and its
# weights were cast once.
ULPS = 64
# How far a tensor may differ, in multiples of how far it moves when the inputs of all layers move by one such unit.
REACTIONS = 16


class NoInputFits(FoldError):  # noqa: N818
    """The model runs on none of the inputs that were drawn."""


class TracedWrong(FoldError):  # noqa: N818
    """The traced graph does not compute what the Python code computes."""


def errors(original: Graph, folded: Graph, pairs: Pairs, inputs: list[Any], model: keras.Model) -> dict[Key, float]:
    """The relative error of every compared tensor of the original.

    Raises:
        FoldError: If a tensor differs by more than rounding explains; it names the first such layer.
    """
    found, outputs = side_by_side(original, folded, pairs, inputs)
    if original.traced_layers.cores:
        _compare_with_python(original, outputs, inputs, model)
        if all(v.shape and v.shape[0] is None for v in original.inputs):
            # Python code may do something else for one example than for several.
            other = [x[:1] if len(x) > 1 else keras.ops.repeat(x, 2, 0) for x in inputs]
            _compare_with_python(original, side_by_side(original, folded, pairs, other)[1], other, model)
    limits = {v: ULPS * _epsilon(v) for v in found}
    if any(error > limits[v] for v, error in found.items()):
        # Deep cancellation amplifies rounding: see how the original itself reacts to rounding of its tensors.
        reaction, _ = side_by_side(*_itself(model, original, pairs), inputs, jiggle=np.random.default_rng(1))
        limits = {v: max(limits[v], REACTIONS * reaction.get(v, 0.0)) for v in found}
    for value, error in found.items():
        if not error <= limits[value]:
            name = value.producer.path if value.producer else "the input"
            raise FoldError(
                f"The folded model must compute what the original does; the output of {name!r} differs by {error:.1e} "
                f"of its scale, where rounding explains {limits[value]:.1e}. Nothing is returned."
            )
    return {key: error for value, error in found.items() for key in value.keys}


def _compare_with_python(original: Graph, traced: list[Any], inputs: list[Any], model: keras.Model) -> None:
    """Check that the traced graph computes what the Python code computes.

    Raises:
        TracedWrong: If they differ.
    """
    with inference(), left_as_found(model):
        given = list(as_tensors(original, inputs).values())
        struct = input_structure(original.traced_layers.core(model))
        outputs = tree.flatten(model(tree.pack_sequence_as(struct, given), training=False))
    if len(outputs) != len(traced):
        raise TracedWrong(f"{model.name!r} returns {len(outputs)} tensors, and returned {len(traced)} while traced.")
    for value, ours, theirs in zip(original.outputs, outputs, traced, strict=True):
        error = difference(ours, theirs)
        if not error <= ULPS * _epsilon(value):
            raise TracedWrong(
                f"The Python code of {model.name!r} computes something that depends on more than its inputs' shapes: "
                f"traced on symbolic tensors, an output differs by {error:.1e} of its scale. Nothing is returned."
            )


def pair(original: Graph, folded: Graph, tensors: Mapping[tuple[int, int], Any], altered: Mapping[Key, int]) -> Pairs:
    """Which tensor of the original each tensor of the folded graph stands for."""
    pairs: Pairs = {}
    for key, value in original.values.items():
        if 0 in key or key in altered:
            continue
        new = tuple(id(tensors[(id(original.cores[key[:i]]), part)]) for i, part in enumerate(key))
        if new in folded.values:
            pairs[folded.values[new]] = value
    if [pairs.get(v) for v in folded.outputs] != original.outputs:
        raise FoldError("The folded model lost one of the outputs of the original. Nothing is returned.")
    return pairs


def _itself(model: keras.Model, original: Graph, pairs: Pairs) -> tuple[Graph, Graph, Pairs]:
    again = Graph(model, original.traced_layers)
    compared = set(pairs.values())
    same = {again.values[key]: value for key, value in original.values.items() if value in compared}
    return original, again, same


def _epsilon(value: Value) -> float:
    return EPSILON.get(value.dtype, 0.0)


def errors_on_random(original: Graph, folded: Graph, pairs: Pairs, model: keras.Model) -> dict[Key, float]:
    """`errors` on a small random batch, with small numbers for free sizes and for large images.

    Raises:
        FoldError: As `errors`.
        NoInputFits: If the model runs at no size that was tried.
    """
    failure: Exception | None = None
    search = size_search(original, model, input_structure(original.traced_layers.core(model)))
    for shapes, declared in shapes_to_try(original, search):
        inputs = [random_input(original, v, shape) for v, shape in zip(original.inputs, shapes, strict=True)]
        try:
            if not declared:
                check_shapes(original, inputs)
            return errors(original, folded, pairs, inputs, model)
        except FoldError:
            # At a size that the model was not made for, a mismatch may be the size's fault.
            if declared or is_free(original):
                raise
        except Exception as error:  # Whatever a layer raises on a size or on numbers that mean nothing to it.
            failure = error
    reason = reason_of(failure) if failure else search.failure()
    if original.traced_layers.cores:
        raise TracedWrong(
            f"The Python code of {original.name!r} is no graph of layers: "
            f"traced on symbolic tensors, it does not run on real ones: {reason}"
        ) from failure
    tried = ", ".join(f"{v.dtype}{list(v.shape)}" for v in original.inputs)
    raise NoInputFits(
        f"fold checks its result on random inputs; the model {original.name!r} accepts none of those tried ({tried}): "
        f"{reason}. Give fold inputs that the model accepts: fold(model, inputs=...)."
    ) from failure
