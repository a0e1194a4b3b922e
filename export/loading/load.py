"""`load`: a Keras 3 model from any file that Keras, tf_keras or TensorFlow wrote, with a report of how it was read."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras

from ..errors import ExportError
from ..report.load_report import LoadReport, Translated
from .architecture import architecture_and_weights, read_architecture, refuse_links
from .code_in_file import check_code, run_on_your_word
from .file_kind import check_file, is_hdf5
from .guard import compare_configs
from .keras_saved_model import KerasSavedModel
from .loaded import remember
from .old_file import OldFile, read_hdf5, read_keras2_zip, read_pair, read_saved_model
from .proof import Proof, prove_with_tf_keras
from .refusals import explain
from .saved_model_path import saved_model_folder
from .signature_model import signature_model
from .writer import Writer


class LoadResult(NamedTuple):
    """A loaded model and the report of how it was read."""

    model: keras.Model
    report: LoadReport


def load(
    path: str | os.PathLike[str],
    *,
    custom_objects: dict[str, Any] | None = None,
    prove: bool = True,
    signature: str | None = None,
    unsafe: bool = False,
) -> LoadResult:
    """Load a model from a file of Keras 1, 2 or 3, of tf_keras or TensorFlow, as its writer meant it, or refuse it.

    What an older Keras meant otherwise is translated. Every value in the file's config is compared with what was
    loaded, and where tf_keras is installed, it computes the same inputs from a file of Keras 2 for comparison.

    Args:
        path: a `.keras` file of Keras 2 or 3, an `.h5` file of any Keras, or a SavedModel: its folder, a file in it, or
            a zip file of it. Of weights alone, a file whose architecture, the JSON of the model, has the same name.
        custom_objects: classes and functions that the file names and that are not registered, by their names.
        prove: let tf_keras compute a file of Keras 2 too, in a process of its own. Without it nothing shows that the
            result computes what the writer computed.
        signature: the name of a function in a SavedModel, which becomes the model, without layers of Keras. Where
            TensorFlow alone wrote it, it has nothing else: its one signature, or `serving_default`, is taken.
        unsafe: run the Python code that the file holds, the functions of its Lambda layers, here and in the process of
            tf_keras. Only for a file that you trust: such code can do anything. It runs only in the version of Python
            that wrote it; a function in `custom_objects` by the name of the layer goes before it.

    Raises:
        ExportError: If the file is of no use, if it needs something that is missing, or if the loaded model would
            compute something else than its writer did.

    Example:
        >>> model, report = load("trained_in_2018.h5")  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    path = Path(path)
    custom = dict(custom_objects or {})
    pair = architecture_and_weights(path)
    with _folder(path) as folder:
        if folder is None:
            if pair is None:
                check_file(path)
            if signature is not None:
                raise ExportError(f"'{path}' has no signatures: only a SavedModel has. Leave signature out.")
        try:
            given = _Given(custom, unsafe)
            read = _read_pair(*pair, given) if pair else _read(path, folder, given, signature)
        except Exception as error:  # Keras raises whatever the damaged or foreign part happened to hit
            raise ExportError(f"Cannot load '{path}': {explain(error)}") from error
        if not isinstance(read.model, keras.Model):
            raise ExportError(
                f"'{path}' holds a {type(read.model).__name__}, not a model. Wrap it with keras.Sequential([...]) and "
                "save that."
            )
        proof = read.proof or _proof(read, path, prove)
    translated: list[Translated] = read.old.translated if read.old else []
    translated += [run_on_your_word(read.model.name)] if read.ran else []
    report = LoadReport(str(path), read.writer, translated, proof.text, proof.oracle, proof.error)
    remember(read.model, report)
    return LoadResult(read.model, report)


@contextmanager
def _folder(path: Path) -> Iterator[Path | None]:
    """The folder of a SavedModel; what is wrong with a zip file of one becomes one line."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(saved_model_folder(path))
        except ExportError:
            raise
        except Exception as error:  # whatever zipfile and zlib raise of a damaged file
            raise ExportError(f"Cannot load '{path}': {explain(error)}") from error
        yield folder


class _Given(NamedTuple):
    """What the user says of the code that a file needs: its own, and whether to run what is in the file."""

    custom: dict[str, Any]
    unsafe: bool


class _Read(NamedTuple):
    model: Any
    writer: str
    old: OldFile | None = None
    proof: Proof | None = None
    ran: bool = False  # whether code of a file of Keras 3 was


def _read(path: Path, folder: Path | None, given: _Given, signature: str | None) -> _Read:
    if folder is not None:
        return _read_folder(folder, given, signature)
    if is_hdf5(path):
        return _translated(read_hdf5(path), given)
    with zipfile.ZipFile(path) as archive:
        version = str(json.loads(archive.read("metadata.json")).get("keras_version", "3"))
        config = json.loads(archive.read("config.json"))
        if "model.weights.h5" in archive.namelist():
            with archive.open("model.weights.h5") as weights:
                refuse_links(weights)
    if version.startswith("2."):
        return _translated(read_keras2_zip(path, version), given)
    ran = given.unsafe and check_code(config)
    model = keras.models.load_model(path, custom_objects=given.custom, compile=False, safe_mode=not given.unsafe)
    if isinstance(model, keras.Model):
        compare_configs(config, model, given.custom)
    return _Read(model, str(Writer(version)), ran=ran)


def _read_pair(architecture: Path, weights: Path, given: _Given) -> _Read:
    config = json.loads(architecture.read_bytes()) if read_architecture(architecture) else {}
    if "registered_name" not in config or config.get("keras_version"):
        return _translated(read_pair(architecture, weights), given)
    refuse_links(weights)
    ran = given.unsafe and check_code(config)
    model = keras.saving.deserialize_keras_object(config, custom_objects=given.custom, safe_mode=not given.unsafe)
    if isinstance(model, keras.Model):
        model.load_weights(weights)
        compare_configs(config, model, given.custom)
    return _Read(model, "Keras 3", ran=ran)


def _read_folder(folder: Path, given: _Given, signature: str | None) -> _Read:
    found = KerasSavedModel(folder)
    if found.described and signature is None:
        old = read_saved_model(folder, found)
        try:
            return _translated(old, given)
        except ExportError as error:
            raise ExportError(f"{error}. Or take one of its functions as it is: signature= (--signature)") from error
    model, name = signature_model(folder, found, signature)
    proof = Proof(f"none is needed: the model is the signature '{name}' itself, which TensorFlow runs")
    return _Read(model, f"TensorFlow {found.tensorflow}", None, proof)


def _translated(old: OldFile, given: _Given) -> _Read:
    return _Read(old.model(given.custom, given.unsafe), str(old.writer), old)


def _proof(read: _Read, path: Path, prove: bool) -> Proof:
    if read.old is None or read.old.writer.major > 2:
        return Proof("none is needed: Keras 3 wrote the file, and Keras 3 reads it")
    if not prove:
        return Proof("none: prove=False")
    return prove_with_tf_keras(read.old, read.model, path)
