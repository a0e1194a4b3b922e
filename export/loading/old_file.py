"""Files whose config must be translated: every .h5, and the .keras and the SavedModels of Keras 2."""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import keras

from ..errors import ExportError
from ..model.keras_graph import automatic_names_beside
from ..model.original_names import remember_original_names
from ..report.load_report import Translated
from .architecture import read_architecture
from .code_in_file import give_function, run_on_your_word
from .config_tree import EXTENDS, Entry, decode, is_entry, name_of, walk
from .file_kind import is_hdf5
from .give_weights import give_weights, weights_by_layer
from .guard import compare_configs
from .hdf5_weights import member, stored_layers, weights_of_model
from .keras1_arguments import refuse_keras_1
from .keras1_weights import as_keras_2, backend_of, check_outputs
from .keras_saved_model import KerasSavedModel
from .native_form import to_native
from .other_arithmetic import refuse_other_resizing, refuse_padding_of_theano, resizes_at_centres
from .stock_classes import refuse_classes_of_the_user
from .translations import translate
from .translations.batch_norm_axes import SHAPE, needs_shape
from .translations.masks import MAKES_MASKS
from .translations.norms_of_others import OF_USER
from .translations.slash_names import RENAMED
from .weight_norm_weights import without_weight_norm
from .weights_of_keras2_zip import stored_variables
from .writer import Writer

WEIGHTS_ALONE = (
    "it holds weights without a model. Put the model's JSON beside it (model.to_json()) under the same name, "
    "model.json beside model.h5, or build the model in Python and load the weights into it."
)
_FUNCTIONS = ("activation", "recurrent_activation")
_TURNED = "Theano's convolutions turn their kernels by 180 degrees, and the file holds them as they stood there"


@dataclass
class OldFile:
    """The config of an old file as it stands there, and what it became."""

    path: Path
    writer: Writer
    config: Entry
    translated: list[Translated] = field(default_factory=list)
    folder: KerasSavedModel | None = None
    architecture: Path | None = None
    unsafe: bool = False
    of_user: list[str] = field(default_factory=list)  # classes and functions in it that the user gave

    @property
    def everything(self) -> list[Any]:
        """All that the file says of objects of Keras, beside the config of the model too."""
        return [self.config, *(self.folder.described.values() if self.folder else ())]

    def model(self, custom: dict[str, Any], unsafe: bool = False) -> keras.Model:
        """The model in the file, with its weights; `unsafe` lets Python code in the file run.

        Raises:
            ExportError: If the file has no weights for it, or if Keras 3 made something else of its config.
        """
        tree, custom, self.unsafe = copy.deepcopy(self.config), dict(custom), unsafe
        self.of_user = _given(tree, custom)
        for entry in walk(tree):
            entry["file_class"] = entry["class_name"]
            names = (entry["class_name"], str(entry["class_name"]).rpartition(">")[2])
            given = next((custom[name] for name in names if name in custom), None)
            if given is not None:
                entry[OF_USER] = True
                entry[EXTENDS] = _stock_base(given)
                entry[MAKES_MASKS] = getattr(given, "compute_mask", None) is not keras.Layer.compute_mask
            if needs_shape(entry):
                entry[SHAPE] = self._shape(entry)
        centred = resizes_at_centres(tree, self.writer, self.folder.tensorflow if self.folder else "")
        self.translated += translate(tree, self.writer)
        for entry in walk(tree):
            refuse_classes_of_the_user(entry, self.writer)
            refuse_other_resizing(entry, self.writer, centred)
            refuse_keras_1(entry)
            if give_function(entry, custom, unsafe):
                self.translated.append(run_on_your_word(name_of(entry)))
        native = copy.deepcopy(tree)
        to_native(native, custom)
        _check_content(native)
        of_layers = [name_of(entry) for entry in walk(tree)]
        with keras.saving.custom_object_scope(custom), automatic_names_beside(of_layers):
            model = keras.saving.deserialize_keras_object(native, custom_objects=custom, safe_mode=True)
        if isinstance(model, keras.Layer):
            compare_configs(tree, model, custom)
        if isinstance(model, keras.Model) and not model.built:
            raise ExportError(f"it states no input shape for '{model.name}': begin it with an Input and save it again")
        if isinstance(model, keras.Model):
            with self._found(tree, model) as found:
                turned = give_weights(model, found, of_theano=self.writer.backend == "theano")
            check_outputs(tree, model)
            remember_original_names(model, tree.get(RENAMED, {}))
            for entry in walk(tree) if self.writer.backend == "theano" else ():
                refuse_padding_of_theano(entry)
            self.translated += [Translated(layer, "Theano kernels", _TURNED, "exact") for layer in turned]
        return model

    @contextmanager
    def _found(self, tree: Entry, model: keras.Model) -> Iterator[Iterator[tuple[Any, list[Any]]]]:
        """Each layer with weights of its own, and these, which can be read within the block."""
        if self.folder is not None:
            yield weights_by_layer(model, without_weight_norm(tree, self.folder.weights), [])
            return
        with _weights(self.path) as weights:
            whole = "model_weights" in weights
            if whole or "layer_names" in weights.attrs or "layer_names0" in weights.attrs:
                group = member(weights, "model_weights") if whole else weights
                stored = stored_layers(group)
                if self.writer.major == 1:
                    self.writer = replace(self.writer, backend=backend_of(model, stored))
                    stored = as_keras_2(tree, stored)
                yield weights_by_layer(model, without_weight_norm(tree, stored), weights_of_model(group))
            else:
                yield stored_variables(tree, model, weights)

    def _shape(self, entry: Entry) -> list[int | None] | None:
        """The shape of a batch norm's statistics, with the input's rank, or of its input."""
        stated: list[int | None] | None = (entry.get("build_config") or {}).get("input_shape")
        if stated is not None:
            return stated
        end = f"/{name_of(entry)}/moving_mean"
        return next((shape for name, shape in self._shapes() if f"/{name.partition(':')[0]}".endswith(end)), None)

    def _shapes(self) -> list[tuple[str, list[int | None]]]:
        """The names and shapes of all stored weights."""
        if self.folder is not None:
            return [(each.name, list(each.data.shape)) for layer in self.folder.weights.values() for each in layer]
        found: list[tuple[str, list[int | None]]] = []

        def visit(name: str, data: Any) -> None:
            if isinstance(data, h5py.Dataset):
                found.append((name, list(data.shape)))

        with _weights(self.path) as weights:
            weights.visititems(visit)
        return found


def _given(tree: Entry, custom: dict[str, Any]) -> list[str]:
    """The names in a config of what the user gives: classes of layers, and activations."""
    found: set[str] = set()
    for entry in walk(tree):
        config = entry["config"] if isinstance(entry["config"], dict) else {}
        names = (entry["class_name"], str(entry["class_name"]).rpartition(">")[2], *map(config.get, _FUNCTIONS))
        found.update(name for name in names if isinstance(name, str) and name in custom)
    return sorted(found)


def _stock_base(given: Any) -> str | None:
    """The class of Keras that a class extends."""
    bases = given.__mro__ if isinstance(given, type) else ()
    return next((each.__name__ for each in bases if each is getattr(keras.layers, each.__name__, None)), None)


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


def read_pair(architecture: Path, weights: Path) -> OldFile:
    """The config in the JSON of a model of Keras 1 or 2, with its weights in another file."""
    config = read_architecture(architecture)
    writer = Writer(config.get("keras_version"), config.get("backend"))
    return OldFile(weights, writer, config, architecture=architecture)


def read_saved_model(folder: Path, read: KerasSavedModel) -> OldFile:
    """The config in the folder of a SavedModel that Keras 2 wrote."""
    return OldFile(folder, Writer(read.version or "2"), read.config(), folder=read)


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
