"""`load`: a Keras 3 model from any file that Keras or tf_keras wrote, with a report of how it was read."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras

from ..errors import ExportError
from ..report.load_report import LoadReport, Translated
from .file_kind import check_file, is_hdf5
from .guard import compare_configs
from .old_file import OldFile, read_hdf5, read_keras2_zip
from .proof import Proof, prove_with_tf_keras
from .refusals import explain
from .writer import Writer


class LoadResult(NamedTuple):
    """A loaded model and the report of how it was read."""

    model: keras.Model
    report: LoadReport


def load(
    path: str | os.PathLike[str], *, custom_objects: dict[str, Any] | None = None, prove: bool = True
) -> LoadResult:
    """Load a model from a file of Keras 1, 2 or 3, or of tf_keras, as its writer meant it, or refuse it.

    What an older Keras meant otherwise is translated. Every value in the file's config is compared with what was
    loaded, and where tf_keras is installed, it computes the same inputs from a file of Keras 2 for comparison.

    Args:
        path: a `.keras` file of Keras 2 or 3, or an `.h5` file of any Keras.
        custom_objects: classes and functions that the file names and that are not registered, by their names.
        prove: let tf_keras compute a file of Keras 2 too, in a process of its own. Without it nothing shows that the
            result computes what the writer computed.

    Raises:
        ExportError: If the file is of no use, if it needs something that is missing, or if the loaded model would
            compute something else than its writer did.

    Example:
        >>> model, report = load("trained_in_2018.h5")  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    path = Path(path)
    custom = dict(custom_objects or {})
    check_file(path)
    try:
        model, writer, old = _read(path, custom)
    except Exception as error:  # Keras raises whatever the damaged or foreign part happened to hit
        raise ExportError(f"Cannot load '{path}': {explain(error)}") from error
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"'{path}' holds a {type(model).__name__}, not a model. Wrap it with keras.Sequential([...]) and save that."
        )
    proof = _proof(model, writer, old, prove)
    translated: list[Translated] = old.translated if old else []
    report = LoadReport(str(path), str(writer), translated, proof.text, proof.oracle, proof.error)
    return LoadResult(model, report)


def _read(path: Path, custom: dict[str, Any]) -> tuple[Any, Writer, OldFile | None]:
    if is_hdf5(path):
        old = read_hdf5(path)
        return old.model(custom), old.writer, old
    with zipfile.ZipFile(path) as archive:
        version = str(json.loads(archive.read("metadata.json")).get("keras_version", "3"))
        config = json.loads(archive.read("config.json"))
    if version.startswith("2."):
        old = read_keras2_zip(path, version)
        return old.model(custom), old.writer, old
    model = keras.models.load_model(path, custom_objects=custom, compile=False)
    if isinstance(model, keras.Model):
        compare_configs(config, model)
    return model, Writer(version), None


def _proof(model: keras.Model, writer: Writer, old: OldFile | None, prove: bool) -> Proof:
    if old is None or writer.major > 2:
        return Proof("none is needed: Keras 3 wrote the file, and Keras 3 reads it")
    if not prove:
        return Proof("none: prove=False")
    return prove_with_tf_keras(old.path, model, old.config, writer)
