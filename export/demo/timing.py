"""What a model or a file gets right on the test images, and how long one image takes it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ..formats.protocol import Runner
from .data import Digits

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Measured:
    """Test accuracy, and the time of one image alone in microseconds."""

    accuracy: float
    image_us: float


def measure(run: Run, digits: Digits) -> Measured:
    """Run one image at a time, as a device does: the median of a pass over all, and the best of three passes.

    Other work on the machine can only make a pass slower, so the best one tells most about the runtime.
    """
    images = [digits.test_images[i : i + 1] for i in range(len(digits.test_images))]
    right = sum(int(np.argmax(run(image)) == label) for image, label in zip(images, digits.test_labels, strict=True))
    return Measured(accuracy=right / len(images), image_us=1e6 * min(_median_time(run, images) for _ in range(3)))


def _median_time(run: Run, images: list[np.ndarray]) -> float:
    times = []
    for image in images:
        start = time.perf_counter()
        run(image)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def on_one_thread() -> bool:
    """Keep TensorFlow to one thread, if it has not started yet; return whether it has one.

    For a network this small more threads only wait for each other; and one thread makes the times of the runtimes
    comparable, and a training repeatable.
    """
    threading = tf.config.threading
    with suppress(RuntimeError):
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    return threading.get_intra_op_parallelism_threads() == 1


def keras_runner(model: keras.Model) -> Run:
    """The model as a compiled TensorFlow function: what Keras is capable of, without the cost of `predict`."""
    compiled = tf.function(lambda image: model(image, training=False), reduce_retracing=True)
    return lambda image: compiled(tf.constant(image)).numpy()


def artifact_runner(runner: Runner) -> Run:
    """An artifact with one input and one output, as a function of the image."""
    source, target = runner.inputs[0].name, runner.outputs[0]
    return lambda image: runner.run({source: image})[target]
