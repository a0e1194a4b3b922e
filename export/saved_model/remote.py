"""Recording for a caller whose Keras does not run on TensorFlow: the model goes to the converting process as a file."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras

from ..errors import ExportError
from ..model.keras_graph import layers_of
from ..model.signature import Signature, signature
from ..options import NormForm
from ..worker.client import run_job


def record_in_child(
    model: keras.Model,
    saved_model: Path,
    sig: Signature,
    channels_first: bool,
    form: NormForm,
    frozen_below: int,
    work: Path,
) -> None:
    """Save `model`, and let the converting process load and record it.

    Raises:
        ExportError: If a layer's class is defined in the running script, which no other process can import.
    """
    file = work / "handover.keras"
    model.save(file)
    batch = sig.inputs[0].shape[0] if sig.inputs[0].shape else None
    run_job(
        "saved_model.remote:record_file",
        model=file,
        saved_model=saved_model,
        batch_size=batch,
        channels_first=channels_first,
        form=form,
        frozen_below=frozen_below,
        classes=_own_classes(model),
    )


def _own_classes(model: keras.Model) -> list[tuple[str, str]]:
    """(module, name) of the classes in the model that neither Keras nor this package defines."""
    found = {(type(layer).__module__, type(layer).__qualname__) for layer in layers_of(model)}
    own = sorted((module, name) for module, name in found if module.split(".")[0] not in ("keras", "keras_norms"))
    for module, name in own:
        if module == "__main__" or "<locals>" in name:
            raise ExportError(
                f"Keras runs on {keras.backend.backend()} here, and the converters need it on TensorFlow, in another "
                f"process; '{name}' is defined where that process cannot import it. Move the class to the top level of "
                "a module, or run with KERAS_BACKEND=tensorflow."
            )
    return own


def record_file(
    model: str,
    saved_model: str,
    batch_size: int | None,
    channels_first: bool,
    form: NormForm,
    frozen_below: int,
    classes: list[tuple[str, str]],
) -> None:
    """The job of the converting process."""
    from .record import record

    custom = {name: getattr(importlib.import_module(module), name) for module, name in classes}
    # The file is the parent's own model, written a moment ago: its Python code is as trusted as the parent's.
    loaded = keras.models.load_model(model, custom_objects=custom, compile=False, safe_mode=False)
    record(loaded, saved_model, signature(loaded, batch_size), channels_first, form, frozen_below)
