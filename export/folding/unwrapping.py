"""Puts plain layers in the place of wrappers that have a constant kernel in inference, before norms are folded."""

from __future__ import annotations

from typing import Any

import keras

from ..model.keras_graph import layers_of
from .call_graph import Graph
from .equivalence import errors, errors_on_random, pair
from .inlining import trace_python_calls
from .plan import Plan
from .rebuild import apply
from .rules.base import Skip
from .rules.constant_kernel import CONSTANT_KERNELS, plain_layer


def unwrap(model: Any, inputs: Any = None) -> tuple[Any, list[str]]:
    """The model without such wrappers, compared with the original; what to tell about each. The same model if none."""
    if not isinstance(model, keras.Layer) or not any(type(layer) in CONSTANT_KERNELS for layer in layers_of(model)):
        return model, []
    traced_layers = trace_python_calls(model, inputs)
    graph = Graph(model, traced_layers)
    plan, notes = Plan(), []
    masks = any(isinstance(x, keras.layers.Masking) or getattr(x, "mask_zero", False) for x in layers_of(model))
    for layer, calls in graph.calls_of.items():
        if type(layer) not in CONSTANT_KERNELS:
            continue
        found, told = plain_layer(layer, calls, masks), f"{calls[0].path!r} ({type(layer).__name__})"
        if isinstance(found, Skip):
            notes.append(f"{told} {found.reason}")
        else:
            plan.plain[layer] = found
            kind = type(found.layer).__name__
            notes.append(f"{told} became a plain {kind}, with the kernel that it has in inference")
    if not plan.plain:
        return model, notes
    plain, tensors = apply(model, plan, traced_layers)
    result = Graph(plain)
    pairs = pair(graph, result, tensors, {})
    if inputs is None:
        errors_on_random(graph, result, pairs, model)
    else:
        errors(graph, result, pairs, keras.tree.flatten(inputs), model)
    return plain, notes
