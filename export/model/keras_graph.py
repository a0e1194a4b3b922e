"""What Keras records of a model: its layers, its calls, their order, their tensors and masks.

The only module that reads Keras' private attributes; tests/export/model/test_keras_graph.py names each, so that a
version of Keras without one fails there. Everything here reads, but for the functions at the end, which say so.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

# Keras has no public access to the counters behind its automatic names.
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional

_COUNTERS = "object_name_uids"


def functional(model: Any) -> Any:
    """The functional graph behind a Sequential or Functional model, or None where there is none."""
    if isinstance(model, keras.Sequential):
        return model._functional if type(model).call is keras.Sequential.call else None
    if not isinstance(model, keras.Model):
        return None
    return model if isinstance(model, Functional) and type(model).call is Functional.call else None


@dataclass(eq=False)
class Traced:
    """The graph of what a `call` that is Python code did with symbolic tensors."""

    name: str
    inputs: list[Any]
    outputs: list[Any]
    input_structure: Any
    output_structure: Any
    nodes: list[Any]


# The layers below a layer


def layers_of(layer: Any) -> list[Any]:
    """A layer or model and every layer below it, however deep."""
    return list(layer._flatten_layers())


def layers_below(layer: Any) -> list[Any]:
    """Every layer below a layer or model, however deep."""
    return list(layer._flatten_layers(include_self=False))


def children(layer: Any) -> list[Any]:
    """The layers that a layer or model holds itself; of a model also its input layers."""
    return list(layer._layers)


def parts(operation: Any) -> list[Any]:
    """The layers below an operation: none if it is no layer."""
    return layers_below(operation) if isinstance(operation, keras.Layer) else []


def unwrapped(layer: Any) -> Any:
    """The layer whose weights a call uses: the one inside TimeDistributed."""
    return layer.layer if type(layer) is keras.layers.TimeDistributed else layer


# What one layer is


def own_weights(layer: Any) -> list[Any]:
    """The weights that a layer holds itself, without those of the layers below it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def takes_training(operation: Any) -> bool:
    """Whether an operation is a layer, whose calls know a training flag."""
    return isinstance(operation, keras.Layer) and "training" in operation._call_context_args


def named_in_call(layer: Any) -> set[str]:
    """Which of "training" and "mask" are arguments of the `call` of a layer."""
    return {n for n, there in (("training", layer._call_has_training_arg), ("mask", layer._call_has_mask_arg)) if there}


def casts_inputs(layer: Any) -> bool:
    """Whether a layer casts the floats that it is called with to its own dtype."""
    return bool(layer.autocast and layer._convert_input_args)


def default_of_lookup(layer: Any) -> Any:
    """What a lookup layer gives for what is not in its vocabulary."""
    return layer._default_value


def declared_output_shape(layer: keras.layers.Lambda) -> Any:
    """The `output_shape` that a Lambda layer was made with."""
    return layer._output_shape


def scale_of_scores(attention: Any) -> float | None:
    """By what an attention layer multiplies its scores; None if its class computes them in a way of its own."""
    heads = isinstance(attention, keras.layers.MultiHeadAttention)
    kind = keras.layers.MultiHeadAttention if heads else keras.layers.GroupQueryAttention
    if type(attention)._compute_attention is not kind._compute_attention:
        return None
    return float(attention._inverse_sqrt_key_dim if heads else attention._inverse_sqrt_head_dim)


# A functional graph and its tensors


def inputs_of(core: Any) -> list[Any]:
    """The symbolic inputs of a functional graph, as a flat list."""
    return core.inputs if isinstance(core, Traced) else core._inputs


def outputs_of(core: Any) -> list[Any]:
    """The symbolic outputs of a functional graph, as a flat list."""
    return core.outputs if isinstance(core, Traced) else core._outputs


def input_structure(core: Any) -> Any:
    """The symbolic inputs of a functional graph in the structure in which it takes them; None if nothing tells it."""
    return core.input_structure if isinstance(core, Traced) else getattr(core, "_inputs_struct", None)


def output_structure(core: Any) -> Any:
    """The symbolic outputs of a functional graph in the structure in which it returns them."""
    return core.output_structure if isinstance(core, Traced) else core._outputs_struct


def standardized(core: Any, flat: list[Any]) -> list[Any]:
    """The inputs of a functional graph as it hands them on: in the dtypes and ranks that its Inputs declare."""
    return list(core._standardize_inputs(tree.pack_sequence_as(core._inputs_struct, flat)))


def history(tensor: Any) -> tuple[Any, int, int]:
    """The operation that made a symbolic tensor, which of its calls, which output; None, 0, 0 if nothing records it."""
    return getattr(tensor, "_keras_history", (None, 0, 0))


def maker(tensor: Any) -> Any:
    """The operation that made a symbolic tensor: for an input of a model its input layer."""
    return history(tensor)[0]


def calls_to(operation: Any) -> list[Any]:
    """The recorded calls of a layer or operation, oldest first."""
    return list(operation._inbound_nodes)


def is_used(operation: Any) -> bool:
    """Whether some recorded call takes an output of a layer or operation."""
    return bool(operation._outbound_nodes)


def mask_of(tensor: Any) -> Any:
    """The mask that a tensor carries, or None."""
    return getattr(tensor, "_keras_mask", None)


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


def masked_by_itself(node: Any) -> bool:
    """Whether a recorded `mask` argument is only what Keras fills in: the mask that the first tensor carries."""
    if "mask" not in node.arguments.kwargs:
        return False
    mask = node.arguments.kwargs["mask"]
    tensors = tree.flatten(node.arguments.args)
    return mask is None or (bool(tensors) and _same(mask, mask_of(tensors[0])))


def _same(a: Any, b: Any) -> bool:
    """Whether two symbolic tensors are the same, or the same operation on the same tensors."""
    if not isinstance(a, keras.KerasTensor) or not isinstance(b, keras.KerasTensor):
        return not isinstance(a, keras.KerasTensor) and not isinstance(b, keras.KerasTensor) and bool(np.all(a == b))
    if a is b:
        return True
    (one, i, m), (other, j, n) = history(a), history(b)
    if one is None or isinstance(one, keras.Layer) or type(one) is not type(other) or m != n:
        return False
    left, right = calls_to(one)[i].arguments, calls_to(other)[j].arguments
    ours, theirs = tree.flatten((left.args, left.kwargs)), tree.flatten((right.args, right.kwargs))
    return len(ours) == len(theirs) and all(_same(x, y) for x, y in zip(ours, theirs, strict=True))


# What changes Keras' records


def set_mask(tensor: Any, mask: Any) -> None:
    """Let a tensor carry a mask."""
    tensor._keras_mask = mask


def uncalled_copy(operation: Any) -> Any:
    """A copy of an operation that is no layer, and so has no weights, with no calls of its own."""
    clone = copy.copy(operation)
    clone._inbound_nodes, clone._outbound_nodes = [], []
    return clone


@contextmanager
def calls_forgotten(layers: Iterable[Any]) -> Iterator[None]:
    """After the block the layers have no records of the calls that were made within it."""
    before = [(layer, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    try:
        yield
    finally:
        for layer, inbound, outbound in before:
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]


def set_build(layer: Any, build: Callable[[Any], None]) -> None:
    """Let `build(call_spec)` run where a call would make the layer's weights; past Keras' attribute tracking."""
    object.__setattr__(layer, "_maybe_build", build)


@contextmanager
def scores_scaled_by(attention: Any, scale: float) -> Iterator[None]:
    """Within the block an attention layer multiplies its scores by `scale`."""
    heads = isinstance(attention, keras.layers.MultiHeadAttention)
    name = "_inverse_sqrt_key_dim" if heads else "_inverse_sqrt_head_dim"
    before = getattr(attention, name)
    setattr(attention, name, scale)
    try:
        yield
    finally:
        setattr(attention, name, before)


@contextmanager
def inputs_as_they_come() -> Iterator[None]:
    """Within the block functional models take floats in the dtype in which they come, not in that of their Inputs."""
    original = Functional._convert_inputs_to_tensors

    def convert(self: Any, flat: list[Any]) -> list[Any]:
        floats = ["float" in str(getattr(x, "dtype", None)) for x in flat]
        pairs = zip(flat, original(self, flat), floats, strict=True)
        return [keras.ops.convert_to_tensor(x, x.dtype) if kept else y for x, y, kept in pairs]

    Functional._convert_inputs_to_tensors = convert
    try:
        yield
    finally:
        Functional._convert_inputs_to_tensors = original


@contextmanager
def automatic_names_apart() -> Iterator[None]:
    """Within the block automatic names count from the beginning; those after it are as if the block had not been."""
    before = global_state.get_global_attribute(_COUNTERS)
    global_state.set_global_attribute(_COUNTERS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_COUNTERS, before)


@contextmanager
def automatic_names_beside(names: Iterable[str]) -> Iterator[None]:
    """The same, and no automatic name is one of these; operations that compute masks of a model take such names."""
    with automatic_names_apart():
        counters = global_state.get_global_attribute(_COUNTERS)
        for name in names:
            prefix, _, number = name.rpartition("_")
            prefix, next_number = (prefix, int(number) + 1) if prefix and number.isdecimal() else (name, 1)
            counters[prefix] = max(counters[prefix], next_number)
        yield
