"""A built model as one flat graph of layer calls, with those of nested models in the place of the model's call.

A nested model that is called twice appears twice: every call site of a shared layer is then one `Call` of that layer.
Reading changes nothing in the model.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import tree

from ..errors import FoldError
from ..model.keras_graph import (
    given,
    input_structure,
    inputs_of,
    masked_by_itself,
    nodes,
    outputs_of,
    parts,
    standardized,
    unwrapped,
)
from .traced_layers import TracedLayers, why_no_graph

# A tensor of a flat graph: the nested calls that lead to it, then its own symbolic tensor, by identity.
Key = tuple[int, ...]


# Whether a call trains, and the path of the layer that was told so.
Flag = tuple[bool, str]

# Keras' random preprocessing layers are called with training=True unless told otherwise.
AUGMENTATION = "keras.src.layers.preprocessing."


@dataclass(eq=False)
class Value:
    """A tensor between calls."""

    shape: tuple[int | None, ...]
    dtype: str
    producer: Call | None
    keys: list[Key]
    consumers: list[Call] = field(default_factory=list)
    # The (scope, model path) of each model that has this tensor as an output; the outermost scope is ().
    exposed: list[tuple[tuple[int, ...], str]] = field(default_factory=list)


@dataclass(eq=False)
class Call:
    """One call of a layer or operation."""

    layer: Any
    path: str
    scope: tuple[int, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Value]
    training: bool
    # The earlier layer whose training=True reached this call, or "" if it was given here.
    training_from: str = ""

    @property
    def inputs(self) -> list[Value]:
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, Value)]


class Convert:
    """What a nested model does before its first layer to inputs whose dtype or rank is not the declared one."""

    def __init__(self, model: Any) -> None:
        self.name = model.name
        self.model = model

    def __call__(self, *inputs: Any) -> list[Any]:
        return standardized(self.model, list(inputs))


class Graph:
    """The calls and values of a model; `bypass` forgets a call whose work has moved elsewhere."""

    def __init__(self, model: keras.Model, traced_layers: TracedLayers | None = None) -> None:
        self.traced_layers = traced_layers or TracedLayers()
        core = self.traced_layers.core(model)
        if core is None:
            raise FoldError(why_no_graph(model))
        self.name = model.name
        self.calls: list[Call] = []
        self.calls_of: dict[Any, list[Call]] = defaultdict(list)
        # The same with the calls that were bypassed.
        self.all_calls_of: dict[Any, list[Call]] = defaultdict(list)
        self.values: dict[Key, Value] = {}
        self.cores: dict[tuple[int, ...], Any] = {}
        # The nested model or traced layer in which the calls of each scope stand.
        self.layer_at: dict[tuple[int, ...], Any] = {(): model}
        self._context: Flag | None = None
        self.inputs = [self._value((), x, None) for x in inputs_of(core)]
        self.outputs = self._open(core, (), "", self.inputs, None)

    # Reading

    def _value(self, scope: tuple[int, ...], tensor: Any, producer: Call | None) -> Value:
        key = (*scope, id(tensor))
        value = Value(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype), producer, [key])
        self.values[key] = value
        return value

    def _open(
        self, core: Any, scope: tuple[int, ...], prefix: str, inputs: list[Value], training: Flag | None
    ) -> list[Value]:
        self.cores[scope] = core
        for tensor, value in zip(inputs_of(core), inputs, strict=True):
            self._alias((*scope, id(tensor)), value)
        for node in nodes(core):
            args, kwargs = (
                tree.map_structure(lambda x: self.values.get((*scope, id(x)), x), part)
                for part in (node.arguments.args, node.arguments.kwargs)
            )
            if isinstance(node.operation, keras.Layer) and masked_by_itself(node):
                del kwargs["mask"]
            args, kwargs = by_position(node.operation, args, kwargs)
            self._call(node, args, kwargs, scope, prefix, training)
        outputs = [self.values[(*scope, id(x))] for x in outputs_of(core)]
        for value in outputs:
            value.exposed.append((scope, prefix.rstrip("/") or self.name))
        return outputs

    def _alias(self, key: Key, value: Value) -> None:
        if key not in self.values:
            self.values[key] = value
            value.keys.append(key)

    def _call(
        self, node: Any, args: Any, kwargs: dict[str, Any], scope: tuple[int, ...], prefix: str, outer: Flag | None
    ) -> None:
        layer = node.operation
        path = f"{prefix}{self.traced_layers.name(layer)}"
        effective = self._training(layer, path, kwargs, outer)
        inner = self.traced_layers.core(layer)
        if inner is not None and (self.traced_layers.holds(layer) or opens(inner, args, kwargs)):
            deeper = (*scope, id(node.outputs[0]))
            tensors = self._converted(inner, given(args, kwargs, Value), deeper, path)
            outputs = self._open(inner, deeper, f"{path}/", tensors, effective)
            self.layer_at[deeper] = layer
            for tensor, value in zip(node.outputs, outputs, strict=True):
                self._alias((*scope, id(tensor)), value)
            return
        on, source = effective or (False, "")
        call = Call(layer, path, scope, args, kwargs, [], on, "" if source == path or not on else source)
        call.outputs = [self._value(scope, x, call) for x in node.outputs]
        self._add(call)

    def _converted(self, inner: Any, given: list[Value], scope: tuple[int, ...], path: str) -> list[Value]:
        specs = [(len(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in inputs_of(inner)]
        if all((len(v.shape), v.dtype) == spec for v, spec in zip(given, specs, strict=True)):
            return given
        call = Call(Convert(inner), path, scope, tuple(given), {}, [], False)
        call.outputs = [self._value((*scope, 0), x, call) for x in inputs_of(inner)]
        self._add(call)
        return call.outputs

    def _add(self, call: Call) -> None:
        self.calls.append(call)
        for layer in {unwrapped(call.layer), *parts(unwrapped(call.layer))}:
            self.calls_of[layer].append(call)
            self.all_calls_of[layer].append(call)
        for value in dict.fromkeys(call.inputs):
            value.consumers.append(call)

    def _training(self, layer: Any, path: str, kwargs: dict[str, Any], outer: Flag | None) -> Flag | None:
        """The training flag of a call when the model itself is called without one.

        As in Keras: an enclosing model's flag, else the call's own, else the one of the call before it, else the
        default in the layer's signature; and what it finds stays for the calls after it.
        """
        if not isinstance(layer, keras.Layer):
            return self._context
        flag: Flag | None
        if outer is not None:
            flag = outer
        elif type(layer).__module__.startswith(AUGMENTATION):
            # Its default of True is recorded as if it had been given; nobody asked for it.
            return self._context
        elif kwargs.get("training") is not None:
            flag = (kwargs["training"] is not False, path)
        elif self._context is not None:
            flag = self._context
        else:
            parameter = inspect.signature(layer.call).parameters.get("training")
            default = None if parameter is None or parameter.default is parameter.empty else parameter.default
            flag = None if default is None else (bool(default), path)
        self._context = flag
        return flag

    # Questions

    def another_use(self, value: Value, user: Call) -> str | None:
        """Who else sees the value besides `user`, in words; None if nobody does."""
        for scope, name in value.exposed:
            if user.scope[: len(scope)] == scope:
                return f"an output of the model {name!r}" if scope else "an output of the model"
        others = [c for c in value.consumers if c is not user]
        if others:
            return f"used by {others[0].path!r}"
        if sum(x is value for x in user.inputs) > 1:
            return f"used twice by {user.path!r}"
        return None

    def visible_output(self, value: Value) -> str | None:
        """The model whose output the value is, seen from its consumers; None if none of them shares that model."""
        for scope, name in value.exposed:
            if not scope:
                return "an output of the model"
            if not value.consumers or any(c.scope[: len(scope)] == scope for c in value.consumers):
                return f"an output of the model {name!r}"
        return None

    def layers_around(self, layers: Iterable[Any]) -> dict[Any, None]:
        """The nested models and traced layers in which these layers are called."""
        scopes = dict.fromkeys(call.scope for layer in layers for call in self.all_calls_of.get(layer, ()))
        return dict.fromkeys(self.layer_at[scope[:i]] for scope in scopes for i in range(len(scope) + 1))

    # Surgery on this graph alone

    def bypass(self, call: Call) -> None:
        """Let the consumers of a one-input call read its input."""
        (source,), (gone,) = call.inputs, call.outputs
        source.consumers = [c for c in source.consumers if c is not call]

        def swap(x: Any) -> Any:
            return source if x is gone else x

        for consumer in gone.consumers:
            consumer.args = tree.map_structure(swap, consumer.args)
            consumer.kwargs = tree.map_structure(swap, consumer.kwargs)
            if consumer not in source.consumers:
                source.consumers.append(consumer)
        source.exposed += gone.exposed
        source.keys += gone.keys
        self.calls.remove(call)
        self.calls_of[unwrapped(call.layer)].remove(call)


def by_position(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with the tensors that it gives by keyword, as in `layer(inputs=x)`, in their places."""
    args, kwargs = tuple(args), dict(kwargs)
    for name in list(inspect.signature(operation.call).parameters)[len(args) :]:
        if name == "mask" or not any(isinstance(x, Value) for x in tree.flatten(kwargs.get(name))):
            break
        args += (kwargs.pop(name),)
    return args, kwargs


def opens(inner: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the calls inside a nested model can stand for its call: it is given its inputs as declared, and at most
    `training` besides."""
    flat = tree.flatten(args)
    return (
        len(args) == 1
        and all(isinstance(x, Value) for x in flat)
        and len(flat) == len(inputs_of(inner))
        and isinstance(args[0], dict) == isinstance(input_structure(inner), dict)
        and (not isinstance(args[0], dict) or set(args[0]) == set(input_structure(inner)))
        and all(name == "training" for name in kwargs)
    )
