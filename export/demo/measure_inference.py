"""How many test images a model or an exported file classifies correctly, and how long one image takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..formats.protocol import Runner
from .data import Digits

Array = npt.NDArray[Any]
Predict = Callable[[Array], Array]


@dataclass(frozen=True)
class Measured:
    """Test accuracy, what each test image is taken for, and the time of one image alone in microseconds."""

    accuracy: float
    predicted: list[int]
    image_us: float


def measure(predict: Predict, digits: Digits, passes: int = 3) -> Measured:
    """Run one image at a time, as a device does. The time is the median of a pass over all images, in the best pass.

    Other work on the machine can only make a pass slower, so the best one says most about the runtime.
    """
    images = [digits.test_images[i : i + 1] for i in range(len(digits.test_images))]
    predicted = [int(np.argmax(predict(image))) for image in images]
    return Measured(
        accuracy=float(np.mean(predicted == digits.test_labels)),
        predicted=predicted,
        image_us=1e6 * min(_median_time(predict, images) for _ in range(passes)),
    )


def _median_time(predict: Predict, images: list[Array]) -> float:
    times = []
    for image in images:
        start = time.perf_counter()
        predict(image)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def on_one_thread() -> bool:
    """Limit TensorFlow to one thread, if it has not started yet; return whether it has one.

    In a network this small, more threads only wait for each other. One thread also makes the times comparable with the
    runtimes' and a training repeatable.
    """
    threading = tf.config.threading
    with suppress(RuntimeError):
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    return bool(threading.get_intra_op_parallelism_threads() == 1)


def keras_runner(model: keras.Model) -> Predict:
    """The model as a compiled TensorFlow function: the fastest that Keras offers, without the cost of `predict`."""
    compiled = tf.function(lambda image: model(image, training=False), reduce_retracing=True)
    return lambda image: compiled(tf.constant(image)).numpy()


def artifact_runner(runner: Runner) -> Predict:
    """An artifact with one input and one output, as a function of the image."""
    source, target = runner.inputs[0].name, runner.outputs[0]
    return lambda image: runner.run({source: image})[target]
