"""Files whose config must be translated: every .h5, and the .keras of Keras 2."""

from __future__ import annotations

import copy
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ..errors import ExportError
from ..model.keras_graph import layers_of, own_weights
from ..report.load_report import Translated
from .config_tree import Entry, decode, is_entry, name_of, walk
from .file_kind import is_hdf5
from .guard import compare_configs
from .hdf5_weights import assign, match_weights, member, names_in, stored_layers
from .keras1_arguments import refuse_keras_1
from .native_form import to_native
from .translations import translate
from .translations.batch_norm_axes import ONE_AXIS, SHAPE, needs_shape
from .weights_of_keras2_zip import stored_variables
from .writer import Writer

WEIGHTS_ALONE = "it holds weights without a model. Build the model in Python, load the weights into it, pass it on."
_TURNED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


@dataclass
class OldFile:
    """The config of an old file as it stands there, and what it became."""

    path: Path
    writer: Writer
    config: Entry
    translated: list[Translated] = field(default_factory=list)

    def model(self, custom: dict[str, Any]) -> keras.Model:
        """The model in the file, with its weights.

        Raises:
            ExportError: If the file has no weights for it, or if Keras 3 made something else of its config.
        """
        tree = copy.deepcopy(self.config)
        for entry in walk(tree):
            refuse_keras_1(entry)
            entry["file_class"] = entry["class_name"]
            if needs_shape(entry):
                entry[SHAPE] = self._shape(entry)
        self.translated += translate(tree, self.writer)
        native = copy.deepcopy(tree)
        to_native(native, custom)
        _check_content(native)
        with keras.saving.custom_object_scope(custom):
            model = keras.saving.deserialize_keras_object(native, custom_objects=custom, safe_mode=True)
        if isinstance(model, keras.Layer):
            compare_configs(tree, model)
        if isinstance(model, keras.Model):
            with _weights(self.path) as weights:
                if weights.name == "/" and "model_weights" not in weights:
                    self._set(model, stored_variables(tree, model, weights))
                else:
                    self._set(model, _by_layer(model, member(weights, "model_weights"), tree))
        return model

    def _set(self, model: keras.Model, found: Iterator[tuple[Any, list[h5py.Dataset]]]) -> None:
        done = set()
        for layer, stored in found:
            done.add(id(layer))
            for variable, data in zip(own_weights(layer), stored, strict=True):
                joined = _joined(layer, data.shape, variable.shape)
                if tuple(data.shape) != tuple(variable.shape) and not joined:
                    data = np.broadcast_to(np.float32(0), data.shape)  # refused without reading it
                value = np.asarray(data)
                value = value.reshape(variable.shape) if joined else value
                if self.writer.backend == "theano" and type(layer).__name__ in _TURNED and "kernel" in variable.name:
                    value = np.flip(value, tuple(range(value.ndim - 2)))
                    self._note_turned(layer.name)
                assign(variable, value, f"'{variable.path}'")
            if hasattr(layer, "finalize_state") and stored:
                layer.finalize_state()
        left = [layer.name for layer in layers_of(model) if own_weights(layer) and id(layer) not in done]
        if left:
            raise ExportError(f"the file has no weights for layer '{left[0]}'")

    def _shape(self, entry: Entry) -> list[int | None] | None:
        """The shape of a batch norm's statistics, with the input's rank, or of its input."""
        stated: list[int | None] | None = (entry.get("build_config") or {}).get("input_shape")
        if stated is not None:
            return stated
        end, shapes = f"{name_of(entry)}/moving_mean:0", []

        def visit(name: str, data: Any) -> None:
            if isinstance(data, h5py.Dataset) and f"/{name}".endswith(f"/{end}"):
                shapes.append(list(data.shape))

        with _weights(self.path) as weights:
            weights.visititems(visit)
        return shapes[0] if shapes else None

    def _note_turned(self, layer: str) -> None:
        reason = "Theano's convolutions turn their kernels by 180 degrees, and the file holds them as they stood there"
        note = Translated(layer, "Theano kernels", reason, "exact")
        if note not in self.translated:
            self.translated.append(note)


def _joined(layer: Any, stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether the weights of a batch norm differ in shape only: axes made one, or sizes of 1 around it."""
    if layer.name.endswith(ONE_AXIS):
        return math.prod(stored) == math.prod(wanted)
    plain = [size for size in stored if size != 1] == [size for size in wanted if size != 1]
    return type(layer).__name__ == "BatchNormalization" and plain


def _by_layer(model: keras.Model, group: h5py.Group, tree: Entry) -> Iterator[tuple[Any, list[h5py.Dataset]]]:
    """Each loaded layer that has weights of its own, and these in an .h5 file."""
    stored = stored_layers(group)
    loaded = [layer for layer in model.layers if layer.weights]
    if len(loaded) != len(stored):
        raise ExportError(
            f"{len(loaded)} of the model's layers have weights in Keras {keras.__version__}, and {len(stored)} in the "
            "file"
        )
    by_name = {layer.name.replace("/", "_"): layer for layer in loaded}
    names = [name.replace("/", "_") for name in stored]
    if set(names) <= set(by_name):
        loaded = [by_name[name] for name in names]
    data: dict[int, h5py.Dataset] = {}
    for layer, weights in zip(loaded, stored.values(), strict=True):
        for variable, weight in zip(match_weights(layer, weights), weights, strict=True):
            data[id(variable)] = weight.data
    if "top_level_model_weights" in group:
        top = member(group, "top_level_model_weights")
        for variable, name in zip(own_weights(model), names_in(top, "weight_names"), strict=False):
            data[id(variable)] = member(top, name)
    for layer in layers_of(model):
        own = own_weights(layer)
        if own and all(id(variable) in data for variable in own):
            yield layer, [data[id(variable)] for variable in own]


def _check_content(native: Entry) -> None:
    """Nothing that a config names is read from elsewhere."""
    stack: list[Any] = [native]
    while stack:
        node = stack.pop()
        if isinstance(node, dict) and isinstance(node.get("vocabulary"), str):
            raise ExportError(f"it keeps its vocabulary in another file, '{node['vocabulary']}', which is not read")
        stack += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def read_hdf5(path: Path) -> OldFile:
    """The config in an .h5 file of any Keras.

    Raises:
        ExportError: If it holds no model.
    """
    with h5py.File(path) as file:
        text = file.attrs.get("model_config")
        attributes = [file.attrs]
        if isinstance(file.get("model_weights", getlink=True), h5py.HardLink):
            attributes.append(file["model_weights"].attrs)
        version, backend = (_first(attributes, key) for key in ("keras_version", "backend"))
        weights = "layer_names" in file.attrs or "layer_names0" in file.attrs or "layers" in file or "vars" in file
    if text is None:
        raise ExportError(WEIGHTS_ALONE if weights else "it is an HDF5 file without a Keras model in it.")
    config = decode(text)
    if not is_entry(config):
        raise ExportError("its config describes no model.")
    return OldFile(path, Writer(version, backend), config)


def read_keras2_zip(path: Path, version: str) -> OldFile:
    """The config in a .keras file of Keras 2."""
    with zipfile.ZipFile(path) as archive:
        config = decode(archive.read("config.json"))
    if not is_entry(config):
        raise ExportError("its config describes no model.")
    return OldFile(path, Writer(version), config)


def _first(attributes: list[Any], key: str) -> str | None:
    found = next((each[key] for each in attributes if key in each), None)
    return found.decode() if isinstance(found, bytes) else found


@contextmanager
def _weights(path: Path) -> Iterator[h5py.File]:
    if is_hdf5(path):
        with h5py.File(path) as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as stored, h5py.File(stored) as file:
        yield file
