"""Runs a `call` that is Python code once, on symbolic tensors, and records which layers and operations it used.

The call is a graph of layers only if nothing but layers and keras.ops touched its tensors, no weight was used outside
of a layer, and nothing depended on values. The trace leaves the layers as it found them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import tree

from ..errors import reason_of
from ..model.creation_order import in_creation_order
from ..model.keras_graph import (
    Traced,
    automatic_names_apart,
    calls_forgotten,
    calls_to,
    casts_inputs,
    given,
    history,
    layers_of,
    set_build,
)
from .call_graph import AUGMENTATION


class TraceError(Exception):
    """Why a call is no graph of layers."""


def trace(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Traced:
    """The graph of `layer.call(*args, **kwargs)` in inference; a KerasTensor stands for a tensor of its shape.

    Raises:
        TraceError: If the call is no graph of layers; the message says why.
    """
    with left_as_found(layer), automatic_names_apart():
        flat, struct = given(args, kwargs, keras.KerasTensor), args[0] if len(args) == 1 and not kwargs else None
        names = _input_names(flat, struct)
        inputs = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name) for x, name in zip(flat, names, strict=True)
        ]
        inside = {id(x): _cast(layer, new) for x, new in zip(flat, inputs, strict=True)}
        outputs = _run(layer, *tree.map_structure(lambda x: inside.get(id(x), x), (args, kwargs)))
        found = _reached(inputs, outputs)
        _check(layer, found)
        structure = tree.pack_sequence_as(struct, inputs) if struct is not None else inputs
        return Traced(
            layer.name,
            inputs,
            tree.flatten(outputs),
            inputs[0] if len(inputs) == 1 and not isinstance(structure, dict) else structure,
            outputs,
            in_creation_order(found),
        )


def _input_names(flat: list[Any], struct: Any) -> list[str]:
    if len(flat) == 1 and not isinstance(struct, dict):
        return ["input"]
    paths = (
        [path for path, _ in tree.flatten_with_path(struct)] if struct is not None else [(i,) for i in range(len(flat))]
    )
    names = ["_".join(map(str, path)) for path in paths]
    return [f"input_{name}" if name[:1].isdigit() else name for name in names]


def _cast(layer: Any, x: Any) -> Any:
    """The input as the layer's own `__call__` hands it to its `call`."""
    floats = keras.backend.is_float_dtype(x.dtype)
    if not (floats and casts_inputs(layer)) or x.dtype == layer.input_dtype:
        return x
    return keras.layers.Identity(dtype=layer.compute_dtype, name=f"cast_{x.name}")(x)


class _Reads(keras.StatelessScope):
    """Records which variables are read, and lets none be changed."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.read: list[Any] = []

    def get_current_value(self, variable: Any) -> Any:
        self.read.append(variable)
        return super().get_current_value(variable)


def _run(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kwargs = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
    if "training" in inspect.signature(layer.call).parameters:
        # Not set, so that the flag it hands on to its layers is not set either.
        kwargs["training"] = None
    with _Reads() as scope:
        try:
            outputs = layer.call(*args, **kwargs)
        except TraceError:
            raise
        except Exception as error:  # Whatever a call raises on symbolic tensors.
            raise TraceError(f"its call cannot run on symbolic tensors: {reason_of(error)}") from error
    if scope.read:
        name = getattr(scope.read[0], "path", "") or getattr(scope.read[0], "name", "a weight")
        raise TraceError(f"its call uses the weight {name!r} outside of a layer")
    flat = tree.flatten(outputs)
    if not flat or not all(isinstance(x, keras.KerasTensor) for x in flat):
        raise TraceError("its call returns something other than tensors that depend on its inputs")
    return outputs


def _reached(inputs: list[Any], outputs: Any) -> list[Any]:
    """The calls that the outputs depend on."""
    sources = {id(x) for x in inputs}
    found: dict[Any, None] = {}
    todo = tree.flatten(outputs)[::-1]
    while todo:
        x = todo.pop()
        if id(x) in sources:
            continue
        operation, index, _ = history(x)
        if operation is None or isinstance(operation, keras.layers.InputLayer):
            raise TraceError("its call uses a symbolic tensor from elsewhere")
        node = calls_to(operation)[index]
        if node not in found:
            found[node] = None
            todo += node.input_tensors[::-1]
    return list(found)


def _check(layer: Any, found: list[Any]) -> None:
    own = {id(v) for v in layer.variables}
    for node in found:
        operation = node.operation
        for x in tree.flatten((node.arguments.args, node.arguments.kwargs)):
            if isinstance(x, keras.Variable) or hasattr(x, "assign"):
                raise TraceError(f"its call uses the weight {getattr(x, 'path', x.name)!r} outside of a layer")
        if not isinstance(operation, keras.Layer):
            # Such as ops.cond: what the function uses stands in no graph, and what it returns may close a circle.
            if any(inspect.isroutine(x) for x in tree.flatten((node.arguments.args, node.arguments.kwargs))):
                raise TraceError(f"its call hands Python functions to the operation {operation.name!r}")
            continue
        if any(id(v) not in own for v in operation.variables):
            raise TraceError(f"its call uses the layer {operation.name!r}, whose weights are not among its own")
        if node.arguments.kwargs.get("training") and not _trains_by_default(operation):
            raise TraceError(f"its call hands training=True to {operation.name!r} also in inference")


def _trains_by_default(layer: Any) -> bool:
    parameter = inspect.signature(layer.call).parameters.get("training")
    return type(layer).__module__.startswith(AUGMENTATION) or (parameter is not None and parameter.default is True)


@contextmanager
def left_as_found(layer: Any) -> Iterator[None]:
    """Undo what a call leaves in layers: records of symbolic calls, and attributes. Raise if it would make weights."""
    layers = layers_of(layer)
    attributes = [(part, dict(vars(part))) for part in layers]
    # TensorFlow wraps a user's dict.
    values = [getattr(x, "__wrapped__", x) for part in layers for x in vars(part).values()]
    contents = [(x, _items(x)) for x in values if issubclass(type(x), (list, dict, set))]

    def refuse(part: Any) -> Any:
        def raise_(_call_spec: Any) -> None:
            raise TraceError(f"its layer {part.name!r} has no weights yet: call the model once on a batch")

        return raise_

    for part in layers:
        if not part.built:
            set_build(part, refuse(part))
    try:
        with calls_forgotten(layers):
            yield
    finally:
        for part, before in attributes:
            now = vars(part)
            for name in [name for name in now if name not in before]:
                del now[name]
            now |= {name: value for name, value in before.items() if name not in now or now[name] is not value}
        for container, items in contents:
            _put_back(container, items)


def _items(container: Any) -> list[Any]:
    return list(dict.items(container) if isinstance(container, dict) else container)


def _put_back(container: Any, items: list[Any]) -> None:
    """Give a list, dict or set its earlier items, past Keras' attribute tracking: Keras tracked them before."""
    now = _items(container)
    pairs = isinstance(container, dict)
    flat, before = ([x for pair in part for x in pair] if pairs else part for part in (now, items))
    if len(flat) == len(before) and all(x is y for x, y in zip(flat, before, strict=True)):
        return
    if isinstance(container, list):
        list.__setitem__(container, slice(None), items)
        return
    kind: Any = dict if pairs else set
    kind.clear(container)
    kind.update(container, items)
