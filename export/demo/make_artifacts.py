"""Everything that is made and measured for one norm at one batch size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from .. import to_onnx, to_tflite
from ..artifact.atomic_write import atomic_write
from ..formats.onnx.runtime import OnnxRunner
from ..formats.tflite.runtime import TFLiteRunner
from ..report.export_report import ExportReport
from . import training
from .data import Digits
from .results import Artifact, Run
from .timing import Run as Runnable
from .timing import artifact_runner, keras_runner, measure


def make(norm: str, recipe: training.Recipe, digits: Digits, directory: Path, update: Callable[[str], object]) -> Run:
    """Train, save, export and measure; `update` is told each step."""
    label = f"{norm}, batches of {recipe.batch_size}"
    update(f"{label}: training")
    trained = training.train(norm, recipe, digits)
    stem = f"{norm.replace(' ', '_')}_{recipe.batch_size}"
    with atomic_write(directory / f"{stem}.keras") as unfinished:
        trained.model.save(unfinished)
    artifacts = {}
    for suffix, export, runner in ((".tflite", to_tflite, TFLiteRunner), (".onnx", to_onnx, OnnxRunner)):
        path = directory / f"{stem}{suffix}"
        report = export(trained.model, path, progress=partial(_tell, update, f"{label}: {path.name}"))
        update(f"{label}: timing {path.name}")
        artifacts[suffix[1:]] = _artifact(report, artifact_runner(runner(path)), digits)
    update(f"{label}: timing Keras")
    in_keras = measure(keras_runner(trained.model), digits)
    keras.backend.clear_session()
    return Run(
        norm=norm,
        norms=sum(layer.name.endswith("_norm") for layer in trained.model.layers),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        steps=trained.steps,
        training_seconds=trained.seconds,
        loss=trained.loss,
        test_accuracy=trained.test_accuracy,
        model_file=f"{stem}.keras",
        keras=in_keras,
        artifacts=artifacts,
    )


def _tell(update: Callable[[str], object], what: str, stage: str) -> None:
    update(f"{what}, {stage}")


def _artifact(report: ExportReport, run: Runnable, digits: Digits) -> Artifact:
    return Artifact(report=report, measured=measure(run, digits))
