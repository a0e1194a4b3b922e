"""What each layer of a model takes and gives while the model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import keras

from ..folding.batch_norms import is_batch_norm
from ..lowerings import LOWERINGS
from ..model.keras_graph import layers_below
from ..model.parts_below import inner_parts
from ..model.patching import patched_calls
from ..model.user_inputs import Arrays

_CONSTANT_AFFINE = (keras.layers.Normalization, keras.layers.Rescaling)
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
    that a user knows, for a part of one of Keras' layers that of the layer; such parts and models are not `whole`. An
    `affine` one multiplies and adds constants, into which a converter merges those of a norm before it.
    """

    layer: str
    is_norm: bool
    outputs: Arrays
    takes: set[int] = field(default_factory=set)
    norm: Any = None
    taken: Any = None
    whole: bool = True
    affine: bool = False


@contextmanager
def recording(model: keras.Model) -> Iterator[list[Call]]:
    """Within the block every call of a layer below `model` is recorded, in the order in which they end."""
    calls: list[Call] = []
    made_by: dict[int, int] = {}
    inner = inner_parts(model)
    kept: list[Any] = []  # the tensors stay alive: a freed one's id would be given to another

    def record(layer: keras.Layer) -> Any:
        original = layer.call

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            results = original(*args, **kwargs)
            tensors = [y for y in keras.tree.flatten(results) if keras.ops.is_tensor(y)]
            # What a nested model gives is what its last layer gives.
            known = [*keras.tree.flatten((args, kwargs)), *tensors]
            takes = {made_by[id(x)] for x in known if id(x) in made_by}
            for y in tensors:
                made_by[id(y)] = len(calls)
            kept.extend(tensors)
            try:
                arrays = [keras.ops.convert_to_numpy(y) for y in tensors]
            except (NotImplementedError, TypeError):  # inside of a compiled function or a loop there are no numbers
                arrays = []
            floats = [y for y in arrays if y.dtype.kind == "f" and y.size > 1]
            whole = id(layer) not in inner and not isinstance(layer, keras.Model)
            made = Call(inner.get(id(layer), layer).name, isinstance(layer, _NORMS), floats, takes, whole=whole)
            made.affine = isinstance(layer, _CONSTANT_AFFINE) or is_batch_norm(layer)
            if takes_statistics(layer) and floats and len(args) == 1 and kwargs.get("mask") is None:
                made.norm, made.taken = layer, keras.ops.convert_to_numpy(args[0])
            calls.append(made)
            return results

        return call

    with patched_calls(layers_below(model), record):
        yield calls
