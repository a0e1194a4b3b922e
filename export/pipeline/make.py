"""The artifact, made in a temporary folder: record the model, convert it, and open what came out."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import keras

from ..artifact.metadata import entries
from ..errors import ExportError
from ..formats.protocol import Conversion, Runner
from ..model.facts import ModelFacts
from ..model.keras_graph import layers_below
from ..progress import Progress, silent
from ..quantization.calibration import save_batches
from ..saved_model.remote import record_in_child
from ..verification.diagnosis.name_in_error import layer_named
from .ahead import answers
from .place import Place
from .prepare import Prepared
from .request import Request


@dataclass(frozen=True)
class Made:
    """An artifact that is written and opened, and not judged yet. `calibration` is the data as it was handed over."""

    runners: dict[str, Runner]
    metadata: dict[str, str]
    calibration: Path | None
    warnings: tuple[str, ...]


def make(prepared: Prepared, request: Request, place: Place) -> Made:
    """Write the artifact to `place.artifact`.

    Raises:
        ExportError: If the format has no form for something in the model, or if its runtime refuses the file.
    """
    calibration = save_batches(prepared.batches, place.work / "calibration.npz") if prepared.batches else None
    about = (prepared.facts.model, prepared.facts.signature, prepared.fold_report, prepared.labels)
    metadata = entries(*about, chip=request.options.chip)
    try:
        meanwhile = answers(prepared, request)
        warnings = record_and_convert(
            prepared.folded, request, place, place.artifact, calibration, request.say, meanwhile
        )
        request.format.write_metadata(place.artifact, metadata)
        request.say("verifying")
        with layer_named(prepared.facts.model):
            runners = request.format.runners(place.artifact)
    except ExportError as error:
        raise _blame_float64(prepared.facts.model, request.format.name, error) from error
    return Made(runners, metadata, calibration, warnings)


def record_and_convert(
    facts: ModelFacts,
    request: Request,
    place: Place,
    path: Path,
    calibration: Path | None,
    say: Progress = silent,
    meanwhile: AbstractContextManager[None] | None = None,
) -> tuple[str, ...]:
    """Record a model as a SavedModel and convert that to `path`, within `meanwhile`; returns warnings."""
    form, options = request.format, request.options
    say("tracing")
    saved_model = Path(tempfile.mkdtemp(dir=place.work))
    layout = (form.channels_first, form.norm_form(options), form.frozen_below())
    if keras.backend.backend() == "tensorflow":
        from ..saved_model.record import record

        record(facts.model, saved_model, facts.signature, *layout)
    else:
        record_in_child(facts.model, saved_model, facts.signature, *layout, place.work)
    say("calibrating and converting" if calibration else "converting")
    inputs = tuple(spec.name for spec in facts.signature.inputs)
    data = None if calibration is None else str(calibration)
    conversion = Conversion(str(saved_model), str(path), inputs, facts.signature.outputs, data)
    with meanwhile or nullcontext():
        return form.convert(conversion, options, facts, say)


def _blame_float64(model: keras.Model, format_name: str, error: ExportError) -> ExportError:
    """The error, or what is behind it where a model of float64 failed."""
    doubles = [layer.name for layer in layers_below(model) if layer.compute_dtype == "float64"]
    if not doubles:
        return error
    return ExportError(
        f"{format_name}'s runtimes lack kernels for float64, in which the model computes (first in '{doubles[0]}'). "
        "Build it with dtype='float32' and give it the same weights."
    )
