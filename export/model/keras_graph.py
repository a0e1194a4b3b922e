"""Keras' own record of a functional graph, read: its nodes, their order, its masks. Nothing here is changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass(eq=False)
class Traced:
    """What a `call` that is Python code did with symbolic tensors, in the attributes of a functional graph."""

    name: str
    _inputs: list[Any]
    _outputs: list[Any]
    _inputs_struct: Any
    _outputs_struct: Any
    nodes: list[Any]


@dataclass(eq=False)
class Opening:
    """The layers whose call is Python code: those whose calls were traced, and why others were not."""

    cores: dict[Any, Traced] = field(default_factory=dict)
    refused: dict[Any, str] = field(default_factory=dict)
    # New names for layers that would stand beside another of their name.
    names: dict[Any, str] = field(default_factory=dict)

    def core(self, model: Any) -> Any:
        """The graph behind a layer or model, or None where there is none."""
        return self.cores[model] if self.holds(model) else functional(model)

    def holds(self, layer: Any) -> bool:
        return isinstance(layer, keras.Layer) and layer in self.cores

    def name(self, layer: Any) -> str:
        return self.names.get(layer, layer.name) if isinstance(layer, keras.Layer) else layer.name

    def only(self, layers: Iterable[Any]) -> Opening:
        """The same with no other layers opened than these."""
        return Opening({layer: self.cores[layer] for layer in layers}, self.refused, self.names)


def given(args: Any, kwargs: dict[str, Any], kind: type) -> list[Any]:
    """The tensors that a call is given, in the order in which its traced graph takes them."""
    rest = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
    return [x for x in tree.flatten((args, rest)) if isinstance(x, kind)]


def nodes(core: Any) -> Iterator[Any]:
    """The calls of a functional graph in the order in which Keras runs them."""
    if isinstance(core, Traced):
        yield from core.nodes
        return
    for depth in sorted(core._nodes_by_depth, reverse=True):
        for node in core._nodes_by_depth[depth]:
            if node.operation is not None and not node.is_input:
                yield node


def creation_order(core: Any) -> list[Any]:
    """The calls of a functional graph in an order that makes the calls of each layer in the order of their indices.

    Made anew in this order, a graph has the same config, also where layers are shared.
    """
    return core.nodes if isinstance(core, Traced) else in_creation_order(list(nodes(core)))


def in_creation_order(found: list[Any]) -> list[Any]:
    members = {id(node) for node in found}
    earlier: dict[int, Any] = {}
    for operation in dict.fromkeys(node.operation for node in found):
        calls = [node for node in operation._inbound_nodes if id(node) in members]
        earlier |= {id(later): node for node, later in itertools.pairwise(calls)}
    order: list[Any] = []
    started: set[int] = set()
    done: set[int] = set()
    for root in found:
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
    return why_not_traced(model, "it was not traced")


def why_not_traced(model: Any, reason: str) -> str:
    return (
        "fold needs a model that is a graph of layers, or whose call can be traced to one on symbolic tensors; "
        f"received {model.name!r}, whose class {type(model).__name__} computes its output in Python code, and "
        f"{reason}. "
        "Write its call with layers and keras.ops alone, or rebuild it with keras.Model(inputs, outputs)."
    )
