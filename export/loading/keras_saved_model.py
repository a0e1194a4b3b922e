"""A SavedModel of Keras 2 as data: the config of the model and the weights of its layers; nothing in it is run.

Keras writes what each object is beside TensorFlow's functions: in keras_metadata.pb, or up to TensorFlow 2.4 in
saved_model.pb itself. The objects hold each other by name, there and in the checkpoint, which holds the weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ExportError
from .checkpoint import Checkpoint
from .config_tree import Entry, decode, is_entry
from .graph_safety import called_operations, called_operations_1
from .hdf5_weights import Stored
from .protobuf_wire import all_of, fields, last_of, message_of, text_of

METADATA, GRAPH = "keras_metadata.pb", "saved_model.pb"
_OF_KERAS = "_tf_keras_"
_MODELS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")


@dataclass(frozen=True)
class _Node:
    """An object of the graph: those that it holds by their names, and for a variable its name and key."""

    children: dict[str, int]
    name: str = ""
    key: str = ""


class KerasSavedModel:
    """What Keras 2 wrote into the folder of a SavedModel.

    Attributes:
        described: what Keras says of each object, by its number; 0 is the model. Empty where TensorFlow alone wrote it.
        operations: what its functions call of TensorFlow.
        functions: the names of its functions.
        tensorflow: the version of TensorFlow that wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        graphs = all_of(memoryview((folder / GRAPH).read_bytes()), 2)
        if not graphs:
            raise ExportError("its saved_model.pb holds no graph")
        objects = message_of(graphs[0], 7)
        self._objects = all_of(objects, 1)
        described = list(_described(folder, self._objects))
        self.described = dict(described)
        if len(self.described) < len(described):
            raise ExportError("it is damaged: it says twice what one object of Keras is")
        self.tensorflow = text_of(message_of(graphs[0], 1), 5)
        # TensorFlow 1 wrote a graph, and no objects.
        called = called_operations(graphs[0], objects) if self._objects else called_operations_1(graphs[0])
        self.operations, self.functions = called.operations, called.functions

    def config(self) -> Entry:
        """The config of the model.

        Raises:
            ExportError: If it is no model with a config: one whose layers Python code calls.
        """
        identifier, root = self.described.get(0, ("", {}))
        if identifier not in _MODELS:
            raise ExportError(f"it holds a {root.get('class_name', 'function')}, not a model")
        config = root.get("config") or {}
        if not root.get("is_graph_network", True) or "layers" not in config:
            raise ExportError(
                f"it holds a subclassed model, '{root.get('class_name')}': Python code calls its layers, and a "
                "SavedModel keeps what that code did as a function of TensorFlow, without the code. Give the name of "
                "that function, signature='serving_default' (--signature on the command), or, to fold it, make the "
                "model in Python and load the weights into it"
            )
        entry = {"class_name": root["class_name"], "config": config}
        if not is_entry(entry):
            raise ExportError("its config describes no model")
        return entry

    @property
    def version(self) -> str | None:
        """The version of Keras that wrote it; None where the file does not say."""
        stated = (about.get("keras_version") for _, about in self.described.values())
        return next((str(version) for version in stated if version), None)

    @cached_property
    def weights(self) -> dict[str, list[Stored]]:
        """The weights of each layer of the model that has any: the trainable ones, then the others."""
        checkpoint = Checkpoint(self._folder / "variables" / "variables")
        nodes = [_node(data) for data in all_of(checkpoint.object_graph(), 1)]
        places = _same_places([_node(data).children for data in self._objects], [node.children for node in nodes])
        found: dict[str, list[Stored]] = {}
        for number in dict.fromkeys(self._held_by_model()):
            if number in places and number in self.described:
                layer = nodes[places[number]]
                held = [nodes[at] for at in _variables(layer, nodes)]
                if held:
                    name = str(self.described[number][1].get("name"))
                    found[name] = [Stored(node.name, checkpoint.tensor(node.key)) for node in held]
        return found

    def _held_by_model(self) -> Iterator[int]:
        for name, number in _node(self._objects[0]).children.items():
            if name.startswith(("layer-", "layer_with_weights-")):
                yield number


def _described(folder: Path, objects: list[memoryview]) -> Iterator[tuple[int, tuple[str, dict[str, Any]]]]:
    """The identifier and the metadata of each object of Keras."""
    file = folder / METADATA
    if file.is_file():
        for node in all_of(memoryview(file.read_bytes()), 1):
            yield last_of(node, 2, 0), (text_of(node, 4), _decoded(text_of(node, 5)))
        return
    for number, data in enumerate(objects):
        user_object = message_of(data, 4)
        if text_of(user_object, 1).startswith(_OF_KERAS) and text_of(user_object, 3):
            yield number, (text_of(user_object, 1), _decoded(text_of(user_object, 3)))


def _decoded(text: str) -> dict[str, Any]:
    found = decode(text)
    if not isinstance(found, dict):
        raise ExportError("it is damaged: what Keras says of an object is no dict")
    return found


def _node(data: memoryview) -> _Node:
    """A node of the object graph in saved_model.pb, or in the checkpoint, which says keys too."""
    children, name, key = {}, "", ""
    for number, value in fields(data):
        if number == 1:
            children[text_of(value, 2)] = last_of(value, 1, 0)
        elif number == 2 and text_of(value, 1) == "VARIABLE_VALUE":
            name, key = text_of(value, 2), text_of(value, 3)
    return _Node(children, name, key)


def _same_places(ours: list[dict[str, int]], theirs: list[dict[str, int]]) -> dict[int, int]:
    """Which object of the second graph is which of the first: they hold each other by the same names."""
    found, waiting = {0: 0}, deque([0])
    while waiting:
        number = waiting.popleft()
        for name, child in ours[number].items():
            other = theirs[found[number]].get(name)
            if child not in found and other is not None and child < len(ours) and other < len(theirs):
                found[child] = other
                waiting.append(child)
    return found


def _variables(layer: _Node, nodes: list[_Node]) -> list[int]:
    """The variables of a layer: Keras lists them, trainable or not. Preprocessing layers hold theirs without a list."""
    lists = nodes[layer.children["keras_api"]].children if "keras_api" in layer.children else {}
    lists = {**layer.children, **lists}
    found: list[int] = []
    for name in ("trainable_variables", "non_trainable_variables"):
        held = nodes[lists[name]].children if name in lists else {}
        found += [held[key] for key in sorted(held, key=int)]
    return found or list(dict.fromkeys(child for child in layer.children.values() if nodes[child].key))
