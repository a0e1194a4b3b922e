"""Keras' own record of a functional graph, read: its nodes, their order, its masks. Nothing here is changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree


def functional(model: Any) -> Any:
    """The functional graph behind a Sequential or Functional model, or None where there is none."""
    if isinstance(model, keras.Sequential):
        return model._functional if type(model).call is keras.Sequential.call else None
    if not isinstance(model, keras.Model):
        return None
    own = next((c for c in type(model).__mro__ if c.__module__ == "keras.src.models.functional"), None)
    return model if own is not None and type(model).call is own.call else None  # type: ignore[attr-defined]


def nodes(core: Any) -> Iterator[Any]:
    """The calls of a functional graph in the order in which Keras runs them."""
    for depth in sorted(core._nodes_by_depth, reverse=True):
        for node in core._nodes_by_depth[depth]:
            if node.operation is not None and not node.is_input:
                yield node


def creation_order(core: Any) -> list[Any]:
    """The calls of a functional graph in an order that makes the calls of each layer in the order of their indices.

    Made anew in this order, a graph has the same config, also where layers are shared.
    """
    members = {id(node) for node in nodes(core)}
    earlier: dict[int, Any] = {}
    for operation in core._operations:
        calls = [node for node in operation._inbound_nodes if id(node) in members]
        earlier |= {id(later): node for node, later in itertools.pairwise(calls)}
    order: list[Any] = []
    started: set[int] = set()
    done: set[int] = set()
    for root in nodes(core):
        stack = [root]
        while stack:
            node = stack[-1]
            started.add(id(node))
            waits = [n for n in node.parent_nodes if id(n) in members and id(n) not in done]
            before = earlier.get(id(node))
            if before is not None and id(before) not in started:
                waits.append(before)
            if waits:
                stack += waits
                continue
            stack.pop()
            if id(node) not in done:
                done.add(id(node))
                order.append(node)
    return order


def unwrapped(layer: Any) -> Any:
    """The layer whose weights a call uses: the one inside TimeDistributed."""
    return layer.layer if type(layer) is keras.layers.TimeDistributed else layer


def parts(layer: Any) -> list[Any]:
    """The layers inside a layer that is not opened."""
    return layer._flatten_layers(include_self=False) if isinstance(layer, keras.Layer) else []


def masked_by_itself(node: Any) -> bool:
    """Whether a recorded `mask` argument is only what Keras fills in: the mask that the first tensor carries."""
    if "mask" not in node.arguments.kwargs:
        return False
    mask = node.arguments.kwargs["mask"]
    tensors = tree.flatten(node.arguments.args)
    return mask is None or (bool(tensors) and _same(mask, getattr(tensors[0], "_keras_mask", None)))


def _same(a: Any, b: Any) -> bool:
    """Whether two symbolic tensors are the same, or the same operation on the same tensors."""
    if not isinstance(a, keras.KerasTensor) or not isinstance(b, keras.KerasTensor):
        return not isinstance(a, keras.KerasTensor) and not isinstance(b, keras.KerasTensor) and bool(np.all(a == b))
    if a is b:
        return True
    (one, i, m), (other, j, n) = a._keras_history, b._keras_history
    if one is None or isinstance(one, keras.Layer) or type(one) is not type(other) or m != n:
        return False
    left, right = one._inbound_nodes[i].arguments, other._inbound_nodes[j].arguments
    ours, theirs = tree.flatten((left.args, left.kwargs)), tree.flatten((right.args, right.kwargs))
    return len(ours) == len(theirs) and all(_same(x, y) for x, y in zip(ours, theirs, strict=True))


def why_no_graph(model: Any) -> str:
    if not isinstance(model, keras.Model):
        return f"fold needs a keras.Model; received {type(model).__name__}."
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        return (
            f"fold needs a built model; received the Sequential model {model.name!r}, whose input shape is unknown. "
            "Give it a keras.Input first, or call it once."
        )
    return (
        f"fold needs a model that is a graph of layers (Sequential or Functional); received {model.name!r}, whose "
        f"class {type(model).__name__} computes its output in Python code. "
        "Rebuild it with keras.Model(inputs, outputs)."
    )
