"""What each layer of a model takes and gives while the model runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import keras
import numpy as np

from ..folding.batch_norms import is_batch_norm
from ..lowerings import LOWERINGS
from ..model.keras_graph import layers_below
from ..model.parts_below import inner_parts, operations_below
from ..model.patching import patched_calls
from ..model.user_inputs import Arrays

_CONSTANT_AFFINE = (keras.layers.Normalization, keras.layers.Rescaling)
_ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_NORMS = tuple(kind for kind, _ in LOWERINGS if kind.__name__.endswith("Normalization"))


def has_norms(model: keras.Model) -> bool:
    """Whether a layer takes statistics of its input. At inference a batch norm does not: it is two constants."""
    return any(takes_statistics(layer) for layer in layers_below(model))


def takes_statistics(layer: keras.Layer) -> bool:
    """Whether a layer is a norm that takes statistics of its input."""
    return isinstance(layer, _NORMS) and not is_batch_norm(layer)


@dataclass
class Call:
    """One call of a layer: its float outputs, and which earlier calls made what it takes.

    Of a norm that takes statistics also the layer itself and what it takes, unless that is masked. `layer` is the name
    that a user knows, for a part of one of Keras' layers that of the layer; such parts and models are not `whole`. A
    `linear` one multiplies and adds constants, into which those of a norm before it may have been merged; if these are
    two for a channel, `affine` is the layer, for they may have been merged into the norm's. One that `passes` only
    moves or joins what it takes. Of a norm that is called step by step over time, `all_steps` is what it
    takes in all steps, as the batch that an artifact may make of them. `kind` is the class of the layer, and `path` its
    name behind those of the layers and models that it is called in. `given` are the calls among `takes` that come
    before it, not within, and `fed` the floats that it takes and no recorded call has made, if operations are recorded.
    """

    layer: str
    is_norm: bool
    outputs: Arrays
    takes: set[int] = field(default_factory=set)
    norm: Any = None
    taken: Any = None
    all_steps: Any = None
    whole: bool = True
    linear: bool = False
    affine: Any = None
    passes: bool = False
    kind: str = ""
    path: str = ""
    given: set[int] = field(default_factory=set)
    fed: Arrays = field(default_factory=list)


@contextmanager
def recording(model: keras.Model, operations: bool = False) -> Iterator[list[Call]]:
    """Within the block every call of a layer below `model` is recorded, in the order in which they end.

    With `operations` also those of the operations without layers that its graphs call.
    """
    calls: list[Call] = []
    made_by: dict[int, int] = {}
    inner = inner_parts(model)
    within: list[str] = []
    kept: list[Any] = []  # the tensors stay alive: a freed one's id would be given to another

    def record(layer: keras.Layer) -> Any:
        original = layer.call

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            before = len(calls)
            within.append(layer.name)
            path = "/".join(within)
            try:
                results = original(*args, **kwargs)
            finally:
                within.pop()
            if isinstance(layer, keras.layers.TimeDistributed):
                _join_steps(calls[before:])
            tensors = [y for y in keras.tree.flatten(results) if keras.ops.is_tensor(y)]
            # What a nested model gives is what its last layer gives.
            taken = [x for x in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(x)]
            given, fed = {made_by[id(x)] for x in taken if id(x) in made_by}, []
            if operations:
                fed = _floats([x for x in taken if id(x) not in made_by], least=1)
            takes = given | {made_by[id(x)] for x in tensors if id(x) in made_by}
            for y in tensors:
                made_by[id(y)] = len(calls)
            kept.extend(tensors)
            floats = _floats(tensors, least=1 if operations else 2)
            whole = id(layer) not in inner and not isinstance(layer, keras.Model)
            made = Call(inner.get(id(layer), layer).name, isinstance(layer, _NORMS), floats, takes, whole=whole)
            made.affine = layer if is_batch_norm(layer) or isinstance(layer, _CONSTANT_AFFINE) else None
            made.kind, made.path, made.given, made.fed = type(layer).__name__, path, given, fed
            made.linear, made.passes = made.affine is not None or _multiplies(layer), _passes(layer)
            if takes_statistics(layer) and floats and len(args) == 1 and kwargs.get("mask") is None:
                made.norm, made.taken = layer, keras.ops.convert_to_numpy(args[0])
            calls.append(made)
            return results

        return call

    with patched_calls((operations_below if operations else layers_below)(model), record):
        yield calls


def _floats(tensors: list[Any], least: int) -> Arrays:
    """Those of floats, of at least so many numbers: what is looked for by its numbers alone needs more than one."""
    try:
        arrays = [keras.ops.convert_to_numpy(y) for y in tensors]
    except (NotImplementedError, TypeError):  # inside of a compiled function or a loop there are no numbers
        return []
    return [y for y in arrays if y.dtype.kind == "f" and y.size >= least]


def _multiplies(layer: keras.Layer) -> bool:
    """Whether a layer begins with a product by its weights: attention with its projections."""
    return isinstance(layer, _ATTENTION) or any(hasattr(layer, name) for name in ("kernel", "depthwise_kernel"))


def _passes(layer: keras.Layer) -> bool:
    return not getattr(layer, "weights", ()) and not type(layer).__module__.startswith("keras.src.layers.activations")


def _join_steps(calls: list[Call]) -> None:
    """Let each norm among the calls of one layer over time know what it takes in all steps, as a batch of N T."""
    steps = defaultdict(list)
    for call in calls:
        if call.norm is not None:
            steps[id(call.norm), call.taken.shape].append(call)
    for alike in steps.values():
        taken = np.stack([call.taken for call in alike], axis=1)
        at_once = taken.reshape(-1, *taken.shape[2:])
        for call in alike:
            call.all_steps = at_once
