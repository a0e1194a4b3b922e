"""A Keras model from a model or from a file, or one clear error that says what is wrong with it.

Files are untrusted: `safe_mode` stays on, so no pickled or marshalled code from a file is run.
"""

from __future__ import annotations

import os
import re
import zipfile
from contextlib import nullcontext
from pathlib import Path

import h5py
import keras

import keras_norms  # noqa: F401  (registers the layers that a file may name)

from ..errors import ExportError, reason_of
from .keras2_arguments import readable

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_FORMATS = "a model saved by Keras as .keras, or a legacy .h5"


def load_model(model: keras.Model | str | os.PathLike[str]) -> keras.Model:
    """Return `model` itself, or the model in the file it names; built, or refused with the reason.

    Args:
        model: a `keras.Model`, or the path of a `.keras` or legacy `.h5` file.

    Raises:
        ExportError: If the file is missing, damaged, of another kind, or names something that is not registered, or if
            the model has no weights yet.

    Example:
        >>> model = load_model("classifier.keras")  # doctest: +SKIP
    """
    if not isinstance(model, keras.Model):
        if any(kind.__module__.split(".")[0] == "tf_keras" for kind in type(model).__mro__):
            raise ExportError(
                f"'{getattr(model, 'name', model)}' is a model of tf_keras, Keras 2. Save it, "
                "model.save('model.h5'), and pass the path."
            )
        if not isinstance(model, (str, os.PathLike)):
            raise ExportError(
                f"Expected a keras.Model or the path of one, got {type(model).__name__}. "
                "Wrap a single layer with keras.Sequential([...])."
            )
        model = _from_file(Path(model))
    _check_built(model)
    return model


def _check_built(model: keras.Model) -> None:
    if not model.built or (isinstance(model, keras.Sequential) and not model.inputs):
        raise ExportError(
            f"A model must be built before it is exported; '{model.name}' has no weights and no input shape yet. "
            "Call it once on a batch, or start it with keras.Input(shape=...)."
        )


def _from_file(path: Path) -> keras.Model:
    _check_kind(path)
    try:
        with readable(path) if h5py.is_hdf5(path) else nullcontext(path) as file:
            model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises whatever the damaged or foreign part happened to hit
        raise ExportError(f"Cannot load '{path}': {_explain(error)}") from error
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"'{path}' holds a {type(model).__name__}, not a model. Wrap it with keras.Sequential([...]) and save that."
        )
    return model


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise ExportError(
            f"Expected {_FORMATS}; '{path}' is a directory. A SavedModel no longer holds the Keras layers: "
            "load it where it was written and save it with model.save('model.keras')."
        )
    if not path.is_file():
        raise ExportError(f"There is no model file '{path}'. Give {_FORMATS}.")
    if path.name.endswith(".weights.h5"):
        raise ExportError(
            f"'{path}' holds weights without a model. Build the model in Python, load the weights into it, pass it on."
        )
    with path.open("rb") as file:
        head = file.read(8)
    if head == _HDF5_MAGIC:
        _check_suffix(path, (".h5", ".hdf5"), "HDF5")
    elif zipfile.is_zipfile(path):
        _check_suffix(path, (".keras",), "Keras zip")
        with zipfile.ZipFile(path) as archive:
            missing = {"config.json", "metadata.json"} - set(archive.namelist())
        if missing:
            raise ExportError(
                f"'{path}' is a zip file but no Keras model: it has no {sorted(missing)[0]}. Give {_FORMATS}."
            )
    else:
        kind = "truncated or damaged" if path.suffix in (".keras", ".h5", ".hdf5") else "of another kind"
        raise ExportError(f"'{path}' is {kind}: it is neither a Keras zip nor an HDF5 file. Give {_FORMATS}.")


def _check_suffix(path: Path, suffixes: tuple[str, ...], kind: str) -> None:
    if path.suffix not in suffixes:
        raise ExportError(
            f"'{path}' is a {kind} file, which Keras reads only as *{suffixes[0]}. Rename it and try again."
        )


def _explain(error: Exception) -> str:
    """Keras' long text cut down to the part a person needs, with the remedy."""
    text = str(error)
    unknown = re.search(r"Could not locate class '([^']+)'", text) or re.search(r"Unknown layer: '?([\w>.]+)'?", text)
    if unknown:
        return (
            f"it uses '{unknown[1]}', which is not registered. Decorate the class with "
            "@keras.saving.register_keras_serializable(), import it, load the model in Python and pass the model."
        )
    if "safe_mode" in text or "unsafe" in text.lower():
        lambdas = "it holds a Lambda layer or another piece of Python code, which is not run from an untrusted file. "
        return lambdas + "If you trust it, load it in Python with keras.models.load_model(path, safe_mode=False)."
    told = f"{reason_of(error)} ({type(error).__name__})"
    return f"{told}. The file is damaged, or was written by an incompatible version."
