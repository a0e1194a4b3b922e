"""Which layers and models with a `call` in Python code are opened: what their calls do becomes part of the graph.

A layer is opened if it is the user's own, holds layers and no weights beside them, and every call of it in the model
is alike but for sizes. A subclassed model is opened as a whole. The others stay closed, each with a reason.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from ..errors import FoldError
from ..model.keras_graph import (
    Traced,
    children,
    functional,
    given,
    input_structure,
    inputs_of,
    layers_of,
    maker,
    mask_of,
    masked_by_itself,
    nodes,
    outputs_of,
    own_weights,
)
from ..model.recorded_shapes import is_shape, recorded_shapes
from .rules import BATCH_NORMS
from .symbolic_trace import TraceError, trace
from .traced_layers import Opening, why_no_graph, why_not_traced

_SITE = tuple[tuple[Any, ...], dict[str, Any]]


def open_model(model: Any, inputs: Any = None) -> Opening:
    """Trace a subclassed model, and what there is of custom layers in a model with batch norms.

    Raises:
        FoldError: the model is none, has no weights or shapes yet, or its call is no graph of layers.
    """
    opening = Opening()
    if functional(model) is None:
        if not isinstance(model, keras.Model) or type(model).call is keras.Sequential.call:
            raise FoldError(why_no_graph(model))
        opening.cores[model] = _trace_model(model, inputs)
    if any(isinstance(layer, BATCH_NORMS) for layer in layers_of(model)):
        _open_parts(opening, opening.core(model))
    for core in opening.cores.values():
        _rename(opening, core)
    return opening


# A whole model


def _trace_model(model: Any, inputs: Any) -> Traced:
    why = why_closed(model)
    if why is None and _several_arguments(model):
        why = f"its call takes several tensors ({', '.join(_several_arguments(model))}) instead of one list or dict"
    if why is not None:
        raise FoldError(why_not_traced(model, why))
    symbols = _symbols(model, inputs)
    try:
        core = trace(model, (symbols,), {})
        tokens = [i for i, x in enumerate(inputs_of(core)) if _looked_up(core, x)]
        if inputs is None and tokens:
            # Nothing records the dtype of what a model was built on.
            flat = tree.flatten(symbols)
            flat = [keras.KerasTensor(x.shape, "int32") if i in tokens else x for i, x in enumerate(flat)]
            core = trace(model, (tree.pack_sequence_as(symbols, flat),), {})
    except TraceError as error:
        raise FoldError(why_not_traced(model, str(error))) from error
    return core


def _several_arguments(model: Any) -> list[str]:
    named = list(inspect.signature(model.call).parameters.values())
    needed = [p.name for p in named if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return needed if len([name for name in needed if name not in ("training", "mask")]) > 1 else []


def _symbols(model: Any, inputs: Any) -> Any:
    if not model.built:
        raise FoldError(
            f"fold needs a model with weights; received {model.name!r} ({type(model).__name__}), which was never "
            "called. Call it once on a batch of real inputs."
        )
    if inputs is not None:
        arrays = tree.map_structure(lambda x: x if hasattr(x, "shape") else np.asarray(x), inputs)
        return tree.map_structure(
            lambda x: keras.KerasTensor((None, *x.shape[1:]), keras.backend.standardize_dtype(x.dtype)), arrays
        )
    declared = input_structure(model)
    if declared is not None:  # A class of functional models that has a call of its own.
        return tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), declared)
    shapes = recorded_shapes(model)
    if shapes is None:
        raise FoldError(
            f"fold needs to know the shapes that {model.name!r} ({type(model).__name__}) takes, and nothing records "
            "them. Call it once on a batch of real inputs, or give fold such a batch: fold(model, inputs=...)."
        )
    return _map_shapes(shapes)


def _map_shapes(shapes: Any) -> Any:
    if isinstance(shapes, Mapping):
        return {name: _map_shapes(shape) for name, shape in shapes.items()}
    if is_shape(shapes):
        return keras.KerasTensor((None, *shapes[1:]), keras.config.floatx())
    return [_map_shapes(shape) for shape in shapes]


def _looked_up(core: Traced, tensor: Any) -> bool:
    """Whether an input only goes into embeddings, and into the masks that they make of it."""
    users = [node.operation for node in core.nodes if any(x is tensor for x in node.input_tensors)]
    lookups = [layer for layer in users if isinstance(layer, keras.layers.Embedding)]
    return bool(lookups) and all(o in lookups or type(o).__name__ == "NotEqual" for o in users)


# Layers in a model


def _open_parts(opening: Opening, core: Any, seen: set[Any] | None = None) -> None:
    seen = seen if seen is not None else set()
    if core in seen:
        return
    seen.add(core)
    sites: dict[Any, list[Any]] = defaultdict(list)
    for node in nodes(core):
        if isinstance(node.operation, keras.Layer):
            sites[node.operation].append(node)
    for layer, calls in sites.items():
        if functional(layer) is not None:
            _open_parts(opening, functional(layer), seen)
        elif custom(layer) and layer not in opening.refused:
            try:
                traced = _trace_part(layer, calls)
                if layer in opening.cores and not _alike(opening.cores[layer], traced):
                    raise TraceError("it is called on tensors of other shapes elsewhere")
            except TraceError as error:
                opening.refused[layer] = str(error)
                opening.cores.pop(layer, None)
                continue
            if layer not in opening.cores:
                opening.cores[layer] = traced
                _open_parts(opening, traced, seen)


def custom(layer: Any) -> bool:
    """Whether a layer is the user's own and holds others, so that there is something to open."""
    return bool(isinstance(layer, keras.Layer) and children(layer) and not type(layer).__module__.startswith("keras."))


def why_closed(layer: Any) -> str | None:
    """Why a layer cannot be opened, whatever its call does; None if it may be."""
    if type(layer).__call__ not in (keras.Layer.__call__, keras.Model.__call__):
        return "its class has a __call__ of its own"
    weights = own_weights(layer)
    if weights:
        return f"it has the weight {weights[0].name!r} of its own"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"it is quantized ({layer.quantization_mode})"
    if layer.activity_regularizer is not None:
        return "it has an activity regularizer"
    return None


def _trace_part(layer: Any, calls: list[Any]) -> Traced:
    why = why_closed(layer)
    if why is not None:
        raise TraceError(why)
    sites = [_site(node) for node in calls]
    args, kwargs = sites[0]
    flat = [given(*site, keras.KerasTensor) for site in sites]
    specs = [[(len(x.shape), x.dtype) for x in tensors] for tensors in flat]
    if any(spec != specs[0] for spec in specs) or any(not _same_options(sites[0], site) for site in sites):
        raise TraceError("its calls in the model differ in more than sizes")
    if not flat[0] or any(getattr(x, "sparse", False) or getattr(x, "ragged", False) for x in flat[0]):
        raise TraceError("it is called on something other than dense tensors")
    if any(mask_of(x) is not None for tensors in flat for x in tensors):
        raise TraceError("it is called on masked tensors")
    shapes = [[tuple(x.shape) for x in tensors] for tensors in flat]
    merged = [
        tuple(n if all(m == n for m in rest) else None for n, *rest in zip(*s, strict=True))
        for s in zip(*shapes, strict=True)
    ]
    symbols = {id(x): keras.KerasTensor(shape, x.dtype) for x, shape in zip(flat[0], merged, strict=True)}
    traced = trace(layer, *tree.map_structure(lambda x: symbols.get(id(x), x), (args, kwargs)))
    expected = [(len(x.shape), x.dtype) for x in calls[0].outputs]
    if [(len(x.shape), x.dtype) for x in outputs_of(traced)] != expected:
        raise TraceError("its call returns other tensors than the model recorded")
    if any(mask_of(x) is not None for x in outputs_of(traced)):
        raise TraceError("its call hands on a mask")
    return traced


def _site(node: Any) -> _SITE:
    args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
    if kwargs.get("training"):
        raise TraceError("it is called with training=True")
    if "mask" in kwargs and not (masked_by_itself(node) and kwargs["mask"] is None):
        raise TraceError("it is called on masked tensors")
    return args, {name: value for name, value in kwargs.items() if name not in ("training", "mask")}


def _same_options(a: _SITE, b: _SITE) -> bool:
    plain = [tree.map_structure(lambda x: None if isinstance(x, keras.KerasTensor) else x, site) for site in (a, b)]
    try:
        return bool(plain[0] == plain[1])
    except ValueError:  # Arrays, which have no one answer.
        return False


def _alike(a: Traced, b: Traced) -> bool:
    return [(x.shape, x.dtype) for x in inputs_of(a)] == [(x.shape, x.dtype) for x in inputs_of(b)]


def _rename(opening: Opening, core: Traced) -> None:
    """Give what was made while tracing, and layers of the same name, names that are unique in their graph."""
    taken = {maker(x).name for x in inputs_of(core)}
    operations = list(dict.fromkeys(node.operation for node in core.nodes))
    layers = [o for o in operations if isinstance(o, keras.Layer)]
    for operation in (*layers, *(o for o in operations if not isinstance(o, keras.Layer))):
        name = free = opening.name(operation)
        number = 0
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        if free != name:
            if isinstance(operation, keras.Layer):
                opening.names[operation] = free
            else:
                operation.name = free
