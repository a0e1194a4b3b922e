"""What a traced model may not hold: tables, chance, and state from one call to the next. No file reproduces them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import keras

from ..errors import ExportError, reason_of
from ..model.keras_graph import layers_below
from ..model.layer_names import layer_of

Node = Any  # of TensorFlow's graphs

_DRAWS = re.compile("Random|TruncatedNormal|Multinomial")
_TABLES = ("LookupTable", "HashTable", "MutableHashTable")


def check_repeatable(model: keras.Model, concrete: Any, changed: list[Any]) -> None:
    """Raise if the outputs of a traced function depend on more than its inputs and the weights.

    `changed` are the variables that tracing would have changed.

    Raises:
        ExportError: If they do; it names the layer and says what to do.
    """
    layers = {layer.name for layer in layers_below(model)}
    definition = concrete.graph.as_graph_def()
    functions = {function.signature.name: function.node_def for function in definition.library.function}
    needed = _behind([output.op.name for output in concrete.outputs], definition.node, functions)
    for node in needed:
        if node.op.startswith(_TABLES):
            raise ExportError(
                f"'{_layer(node, layers)}' looks its input up in a table, which no artifact holds. Look up before the "
                "model, and export what comes after that layer."
            )
        if _DRAWS.search(node.op):
            raise ExportError(
                f"'{_layer(node, layers)}' draws random numbers at inference, which no artifact reproduces. Draw them "
                "in training only, or make them an input of the model."
            )
    everything = [*definition.node, *(node for nodes in functions.values() for node in nodes)]
    handles = {id(variable.handle) for variable in changed}
    written = {node.input[0] for node in everything if node.op.startswith("Assign")}
    written |= {inside.op.name for outside, inside in concrete.graph.captures if id(outside) in handles}
    for node in needed:
        if node.op == "ReadVariableOp" and node.input[0] in written:
            raise ExportError(
                f"'{_layer(node, layers)}' keeps state from one call to the next, which an artifact does not. Build "
                "the model with stateful=False, and with the state as an input and an output where it is needed."
            )


def _behind(ends: list[str], graph: Iterable[Node], functions: Mapping[str, Iterable[Node]]) -> list[Node]:
    """The nodes that those called `ends` compute from, and all of the functions that these call."""
    nodes = {node.name: node for node in graph}
    found: dict[str, Node] = {}
    called: dict[str, Node] = {}
    while ends:
        name = ends.pop()
        if name in found:
            continue
        node = found[name] = nodes[name]
        ends += [x.partition(":")[0] for x in node.input if not x.startswith("^")]
        calls = [node]
        while calls:
            for attribute in calls.pop().attr.values():
                inside = functions.get(attribute.func.name, ())
                new = {f"{attribute.func.name}/{n.name}": n for n in inside}
                calls += [n for key, n in new.items() if key not in called]
                called |= new
    return [*found.values(), *called.values()]


def no_graph(model: keras.Model, error: Exception) -> str:
    """Why `model` could not be traced, in a sentence."""
    name = re.search(r"'([^']*)' is not a valid (?:root )?scope name", str(error))
    if name:
        return (
            f"'{name[1]}' is no name that TensorFlow, through which models are exported, allows: letters, digits and "
            "_.-/ only, and no _ in front. Give the layer another name."
        )
    return f"'{model.name}' cannot be traced as a TensorFlow graph, as model.predict does too: {reason_of(error)}"


def _layer(node: Node, layers: Collection[str]) -> str:
    return layer_of(node.name, layers)
