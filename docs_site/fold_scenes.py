"""The models whose graphs docs/folding.md shows before and after `fold`: each a few layers around one norm."""

from __future__ import annotations

from collections.abc import Callable

import keras

import keras_norms

L = keras.layers


def _model(inputs: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.Model:
    return keras.Model(inputs, outputs)


def after_convolution() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.Conv2D(8, 3, use_bias=False, name="conv")(x)
    y = keras_norms.BatchRenormalization(name="norm")(y)
    return _model(x, L.ReLU(name="relu")(y))


def before_convolution() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.Conv2D(8, 3, activation="relu", name="conv")(x)
    y = L.BatchNormalization(name="norm")(y)
    return _model(x, L.Conv2D(8, 3, name="next")(y))


def after_addition() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.Add(name="add")([L.Conv2D(8, 3, name="left")(x), L.Conv2D(8, 3, name="right")(x)])
    return _model(x, L.ReLU(name="relu")(L.BatchNormalization(name="norm")(y)))


def through_pooling() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.AveragePooling2D(2, name="pool")(L.Conv2D(8, 3, name="conv")(x))
    return _model(x, L.ReLU(name="relu")(L.BatchNormalization(name="norm")(y)))


def gamma_and_beta() -> keras.Model:
    x = keras.Input((8, 16), name="tokens")
    y = L.LayerNormalization(gamma_initializer="random_normal", name="norm")(x)
    return _model(x, L.Dense(16, name="dense")(y))


def pre_activation() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.Conv2D(8, 3, padding="same", name="conv")(x)
    z = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(y))
    return _model(x, L.Add(name="add")([y, L.Conv2D(8, 3, padding="same", name="next")(z)]))


def padded_convolution() -> keras.Model:
    x = keras.Input((8, 8, 3), name="image")
    y = L.Conv2D(8, 3, activation="relu", name="conv")(x)
    y = L.BatchNormalization(beta_initializer="ones", name="norm")(y)
    return _model(x, L.Conv2D(8, 3, padding="same", name="next")(y))


# The name of the picture, and the model in it.
SCENES: dict[str, Callable[[], keras.Model]] = {
    "after-convolution": after_convolution,
    "before-convolution": before_convolution,
    "after-addition": after_addition,
    "through-pooling": through_pooling,
    "gamma-and-beta": gamma_and_beta,
    "pre-activation": pre_activation,
    "padded-convolution": padded_convolution,
}
