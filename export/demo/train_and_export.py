"""One model of the demo: train it with one norm at one batch size, export it, measure the model and its files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from .. import to_onnx, to_tflite
from ..artifact.atomic_write import atomic_write
from ..formats.onnx.runtime import OnnxRunner
from ..formats.tflite.runtime import TFLiteRunner
from . import training
from .data import Digits
from .measure_inference import artifact_runner, keras_runner, measure
from .results import Artifact, Run

_FORMATS = ((".tflite", to_tflite, TFLiteRunner), (".onnx", to_onnx, OnnxRunner))


def train_and_export(
    norm: str,
    recipe: training.Recipe,
    digits: Digits,
    directory: Path,
    *,
    passes: int,
    update: Callable[[str], object],
) -> Run:
    """Train, save, export and measure one model; `update` is called with the name of each step.

    `passes` is the number of passes over the test images that are timed.
    """
    label = f"{norm}, {recipe.batches}"
    update(f"{label}: training")
    trained = training.train(norm, recipe, digits)
    stem = f"{norm.replace(' ', '_')}_{recipe.batch_size}"
    with atomic_write(directory / f"{stem}.keras") as unfinished:
        trained.model.save(unfinished)
    artifacts = {}
    for suffix, export, runner in _FORMATS:
        path = directory / f"{stem}{suffix}"
        report = export(trained.model, path, progress=partial(_show_step, update, f"{label}: {path.name}"))
        update(f"{label}: timing {path.name}")
        artifacts[suffix[1:]] = Artifact(report, measure(artifact_runner(runner(path)), digits, passes))
    update(f"{label}: timing Keras")
    in_keras = measure(keras_runner(trained.model), digits, passes)
    keras.backend.clear_session()
    return Run(
        norm=norm,
        norms=sum(layer.name.endswith("_norm") for layer in trained.model.layers),
        batch_size=recipe.batch_size,
        batches=recipe.batches,
        epochs=recipe.epochs,
        steps=trained.steps,
        training_seconds=trained.seconds,
        loss=trained.loss,
        test_accuracy=trained.test_accuracy,
        model_file=f"{stem}.keras",
        keras=in_keras,
        artifacts=artifacts,
    )


def _show_step(update: Callable[[str], object], file: str, step: str) -> None:
    update(f"{file}, {step}")
