"""A Keras model from a model or from a file, or one clear error that says what is wrong with it.

Files are untrusted: no pickled or marshalled code from a file is run, but on the user's word.
"""

from __future__ import annotations

import os
from typing import Any

import keras

import keras_norms  # noqa: F401  (registers the layers that a file may name)

from ..errors import ExportError
from .load import load


def load_model(
    model: keras.Model | str | os.PathLike[str],
    signature: str | None = None,
    custom_objects: dict[str, Any] | None = None,
    unsafe: bool = False,
) -> keras.Model:
    """Return `model` itself, or the model in the file it names; built, or refused with the reason.

    Args:
        model: a `keras.Model`, or the path of a file that `load` reads.
        custom_objects: classes and functions that the file names, by their names.
        signature: the function of a SavedModel that is taken as the model; None for its layers.
        unsafe: let Python code in the file run.

    Raises:
        ExportError: If the file is missing, damaged, of another kind, or names something that is not registered; if
            the original writer's code computes something else from it; or if the model has no weights yet.

    Example:
        >>> model = load_model("classifier.keras")  # doctest: +SKIP
    """
    if not isinstance(model, keras.Model):
        path = _path(model)
        model = load(path, signature=signature, custom_objects=custom_objects, unsafe=unsafe).model
    _check_built(model)
    return model


def _path(model: Any) -> Any:
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
    return model


def _check_built(model: keras.Model) -> None:
    if not model.built or (isinstance(model, keras.Sequential) and not model.inputs):
        raise ExportError(
            f"A model must be built before it is exported; '{model.name}' has no weights and no input shape yet. "
            "Call it once on a batch, or start it with keras.Input(shape=...)."
        )
