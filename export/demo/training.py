"""Train one network. All norms share a recipe; nothing is tuned for one norm."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from .batches import mixed, of_one_class
from .data import Array, Digits
from .network import make_norm, residual_cnn

SEED = 0


@dataclass(frozen=True)
class Recipe:
    """The settings of one kind of batches; `batch_size` tells the recipes apart.

    The learning rate grows with the square root of the batch size, as is usual with Adam. The moving statistics should
    average over a similar number of images at each batch size, so the small batches get the higher momentum.
    """

    batch_size: int
    order: Literal["mixed", "of one digit"]
    learning_rate: float
    momentum: float
    epochs: int

    @property
    def batches(self) -> str:
        return f"batches of {self.batch_size}, {self.order}"

    def indices(self, labels: Array, rng: np.random.Generator) -> Array:
        """Of the images, in the order of the whole training: (steps, batch_size)."""
        arrange = mixed if self.order == "mixed" else of_one_class
        return np.concatenate([arrange(labels, self.batch_size, rng) for _ in range(self.epochs)])


RECIPES: tuple[Recipe, ...] = (
    Recipe(batch_size=32, order="mixed", learning_rate=4e-3, momentum=0.9, epochs=6),
    Recipe(batch_size=2, order="of one digit", learning_rate=1e-3, momentum=0.99, epochs=6),
)


@dataclass(frozen=True)
class Training:
    """A trained model and the history of its training; `loss` and `test_accuracy` hold one value for each epoch."""

    model: keras.Model
    steps: int
    seconds: float
    loss: list[float]
    test_accuracy: list[float]


def train(norm: str, recipe: Recipe, digits: Digits) -> Training:
    """Train a new network with the named norm; the same seed gives the same start and the same order of images."""
    keras.utils.set_random_seed(SEED)
    indices = recipe.indices(digits.train_labels, np.random.default_rng(SEED))
    steps, steps_an_epoch = len(indices), len(indices) // recipe.epochs
    model = residual_cnn(make_norm(norm, recipe.momentum, steps))
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # Tracing several steps as a loop takes seconds more, which only a long epoch makes good.
        steps_per_execution=min(steps_an_epoch, 64) if steps_an_epoch > 32 else 1,
        jit_compile=False,
    )
    # Keras makes the variables of an optimizer, and of a metric that is named only, while it traces the first step:
    # TensorFlow would then trace it all a second time, which takes seconds.
    model.optimizer.build(model.trainable_variables)
    images, labels = digits.train_images[indices], digits.train_labels[indices]
    start = time.perf_counter()
    history = model.fit(
        tf.data.Dataset.from_tensor_slices((images, labels)),
        epochs=recipe.epochs,
        steps_per_epoch=steps_an_epoch,
        shuffle=False,
        validation_data=(digits.test_images, digits.test_labels),
        validation_batch_size=len(digits.test_images),
        verbose=0,
    ).history
    return Training(
        model=model,
        steps=steps,
        seconds=time.perf_counter() - start,
        loss=[float(value) for value in history["loss"]],
        test_accuracy=[float(value) for value in history["val_accuracy"]],
    )
