"""Train one network. All norms share the recipe of a batch size; nothing is tuned for one norm."""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras

from .data import Digits
from .network import make_norm, residual_cnn

SEED = 0


@dataclass(frozen=True)
class Recipe:
    """The settings that differ between the batch sizes.

    The learning rate grows with the square root of the batch size, as is usual with Adam. The moving statistics should
    average over a similar number of images at each batch size, so the small batches get the higher momentum.
    """

    batch_size: int
    learning_rate: float
    momentum: float
    epochs: int


RECIPES: tuple[Recipe, ...] = (
    Recipe(batch_size=32, learning_rate=4e-3, momentum=0.9, epochs=6),
    Recipe(batch_size=2, learning_rate=1e-3, momentum=0.99, epochs=6),
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
    # Whole batches only: a smaller last batch would train at another batch size.
    steps_an_epoch = len(digits.train_images) // recipe.batch_size
    used = steps_an_epoch * recipe.batch_size
    steps = steps_an_epoch * recipe.epochs
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
    start = time.perf_counter()
    history = model.fit(
        digits.train_images[:used],
        digits.train_labels[:used],
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
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
