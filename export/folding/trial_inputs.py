"""Random inputs on which a folded model is compared with its original, as small as the model is likely to accept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from ..model.signature import Signature, Spec
from ..model.size_search import Search, concrete_shape
from ..model.sizes import FREE_SIZES, IMAGE_SIZES
from .call_graph import Convert, Graph, Value

# At 16 pixels most convolutions of a deep network see one pixel and padding: the smallest sizes come last.
_SMALLEST = 32


def is_free(graph: Graph) -> bool:
    return any(n is None for v in graph.inputs for n in v.shape[1:])


def size_search(graph: Graph, model: keras.Model, structure: Any) -> Search:
    """The search for sizes of the free dimensions; `structure` is how the model takes its inputs."""
    specs = tuple(Spec(f"input {i}", v.shape, v.dtype) for i, v in enumerate(graph.inputs))
    return Search(model, Signature(specs, (), list(specs) if structure is None else structure))


def shapes_to_try(graph: Graph, search: Search) -> Iterator[tuple[list[list[int]], bool]]:
    """Shapes of one sample for every input, and whether they are the declared ones."""
    if is_free(graph):
        for found in search.suitable(sorted(FREE_SIZES, key=lambda size: size < _SMALLEST)):
            yield [list(concrete_shape(spec)[1:]) for spec in found.inputs], False
        return
    fixed = [[int(n or 0) for n in v.shape[1:]] for v in graph.inputs]
    for size in IMAGE_SIZES:
        if any(len(shape) > 2 and max(shape) > size for shape in fixed):
            yield [[min(n, size) for n in shape] if len(shape) > 2 else shape for shape in fixed], False
    yield fixed, True


def check_shapes(graph: Graph, inputs: list[Any]) -> None:
    """Raise if a layer has nothing left to work on; some backends return garbage then."""
    tensors = {v: keras.KerasTensor(x.shape, dtype=v.dtype) for v, x in zip(graph.inputs, inputs, strict=True)}

    def fill(x: Any) -> Any:
        return tensors[x] if isinstance(x, Value) else x

    for call in graph.calls:
        if isinstance(call.layer, Convert):
            pairs = zip(call.inputs, call.outputs, strict=True)
            outputs = [keras.KerasTensor(tensors[v].shape, dtype=out.dtype) for v, out in pairs]
        else:
            args, kwargs = tree.map_structure(fill, call.args), tree.map_structure(fill, call.kwargs)
            outputs = tree.flatten(call.layer.compute_output_spec(*args, **kwargs))
        tensors |= dict(zip(call.outputs, outputs, strict=True))


def random_input(graph: Graph, value: Value, sample: list[int]) -> Any:
    rng = np.random.default_rng(0)
    batch = value.shape[0] if value.shape else None
    shape = [batch or (2 if np.prod(sample, dtype=float) <= 32768 else 1), *sample] if value.shape else []
    if value.dtype == "string":
        return keras.ops.convert_to_tensor(np.full(shape, "a", dtype=object), dtype="string")
    if value.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if "int" in value.dtype:
        rows = [c.layer.input_dim for c in graph.calls if isinstance(c.layer, keras.layers.Embedding)]
        return rng.integers(0, min([*rows, 128]) if rows else 2, shape).astype(value.dtype)
    return rng.standard_normal(shape).astype("float32")
