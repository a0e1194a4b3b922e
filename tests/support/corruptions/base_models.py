"""Small models whose files are corrupted: each kind of norm and of layer that exporters translate."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import keras
from models import randomize, two_in_two_out

import keras_norms

L = keras.layers


def _image(size: int = 10, channels: int = 3) -> Any:
    return keras.Input((size, size, channels), name="image")


def _norm_net(make: Callable[..., Any], width: int = 16) -> keras.Model:
    image = _image()
    x = L.ReLU()(make()(L.Conv2D(width, 3, padding="same")(image)))
    x = L.ReLU()(make()(L.Conv2D(width, 3, 2, padding="same")(x)))
    return keras.Model(image, L.Dense(5, name="y")(L.GlobalAveragePooling2D()(x)))


def _residual() -> keras.Model:
    image = _image()
    x = L.ReLU()(keras_norms.BatchNormalization()(L.Conv2D(16, 3, padding="same")(image)))
    y = L.Conv2D(16, 3, padding="same")(L.ReLU(6.0)(L.Conv2D(16, 3, padding="same")(x)))
    x = L.ReLU()(L.Add()([x, y]))
    return keras.Model(image, L.Dense(5, name="y")(L.Flatten()(L.MaxPooling2D()(x))))


def _depthwise() -> keras.Model:
    image = _image()
    x = L.Conv2D(16, 3, 2, padding="same", activation="relu6")(image)
    x = L.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = keras_norms.BatchRenormalization()(L.Conv2D(24, 1)(x))
    x = L.DepthwiseConv2D(3, padding="valid")(L.ReLU(6.0)(x))
    return keras.Model(image, L.Dense(5, activation="softmax", name="y")(L.GlobalAveragePooling2D()(x)))


def _transposed() -> keras.Model:
    image = _image(6)
    x = L.Conv2DTranspose(8, 3, 2, padding="same", activation="relu")(image)
    x = keras_norms.GroupNormalization(4)(x)
    return keras.Model(image, L.Conv2D(2, 3, padding="same", name="y")(L.Activation("tanh")(x)))


def _attention() -> keras.Model:
    tokens = keras.Input((6, 12), name="tokens")
    x = L.Add()([tokens, L.MultiHeadAttention(2, 6)(tokens, tokens)])
    x = keras_norms.LayerNormalization()(x)
    y = L.Dense(12)(L.Dense(24, activation="gelu")(x))
    x = L.LayerNormalization(epsilon=1e-6)(L.Add()([x, y]))
    return keras.Model(tokens, L.Dense(4, name="y")(L.GlobalAveragePooling1D()(x)))


def _recurrent(kind: Callable[..., Any]) -> keras.Model:
    series = keras.Input((7, 5), name="series")
    return keras.Model(series, L.Dense(3, name="y")(kind(8)(L.Dense(6, activation="tanh")(series))))


def _embedding() -> keras.Model:
    ids = keras.Input((8,), dtype="int32", name="ids")
    x = keras_norms.LayerNormalization()(L.Embedding(20, 12)(ids))
    x = L.Conv1D(12, 3, padding="same", dilation_rate=2, activation="relu")(x)
    return keras.Model(ids, L.Dense(4, name="y")(L.GlobalMaxPooling1D()(x)))


def _two_branches() -> keras.Model:
    left, right = keras.Input((8,), name="left"), keras.Input((8,), name="right")
    a, b = L.Dense(8, activation="relu")(left), L.Dense(8, activation="sigmoid")(right)
    difference = L.Subtract(name="difference")([a, b])
    both = L.Concatenate()([difference, a])
    return keras.Model([left, right], [L.Dense(4, name="first")(both), L.Dense(4, name="second")(difference)])


def _pools() -> keras.Model:
    image = _image(12)
    x = L.AveragePooling2D(2, padding="same")(L.SeparableConv2D(16, 3, padding="same", activation="swish")(image))
    x = L.MaxPooling2D(3, 1, padding="same")(L.Conv2D(16, 3, strides=1, padding="same", dilation_rate=2)(x))
    return keras.Model(image, L.Dense(5, name="y")(L.Flatten()(L.LeakyReLU(negative_slope=0.2)(x))))


def _excitation() -> keras.Model:
    image = _image()
    x = keras_norms.BatchNormalization()(L.Conv2D(16, 3, padding="same", activation="elu")(image))
    gate = L.Dense(16, activation="sigmoid")(L.Dense(8, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x)))
    x = L.Multiply()([x, gate])
    return keras.Model(image, L.Conv2D(3, 1, name="y")(x))


def _unet() -> keras.Model:
    image = _image(8)
    down = L.Conv2D(16, 3, padding="same", activation="relu")(image)
    x = keras_norms.InstanceNormalization()(L.Conv2D(16, 3, 2, padding="same")(down))
    x = L.Concatenate()([L.UpSampling2D(2, interpolation="bilinear")(L.ReLU()(x)), down])
    return keras.Model(image, L.Conv2D(2, 3, padding="same", name="y")(x))


def _permuted() -> keras.Model:
    image = _image(6, 4)
    x = L.Reshape((6, 6, 8))(L.Permute((2, 1, 3))(L.Conv2D(8, 3, padding="same")(image)))
    return keras.Model(image, L.Conv2D(3, 3, name="y")(L.RMSNormalization()(L.ZeroPadding2D(((1, 0), (0, 2)))(x))))


def _dense() -> keras.Model:
    x = features = keras.Input((32,), name="features")
    for _ in range(2):
        x = keras_norms.LayerNormalization()(L.Dense(48, activation="relu")(x))
    return keras.Model(features, L.Dense(4, activation="tanh", name="y")(x))


def _grouped_1d() -> keras.Model:
    series = keras.Input((20, 4), name="series")
    x = keras_norms.GroupNormalization(2)(L.Conv1D(8, 5, 2, padding="same", groups=2)(series))
    x = L.Conv1D(8, 3, padding="causal", activation="relu")(x)
    return keras.Model(series, L.Dense(3, name="y")(L.Flatten()(L.AveragePooling1D(2)(x))))


BASES: dict[str, Callable[[], keras.Model]] = {
    "batch": lambda: _norm_net(keras_norms.BatchNormalization),
    "group": lambda: _norm_net(lambda: keras_norms.GroupNormalization(4)),
    "keras group": lambda: _norm_net(lambda: L.GroupNormalization(4, epsilon=1e-5)),
    "layer": lambda: _norm_net(keras_norms.LayerNormalization),
    "instance": lambda: _norm_net(keras_norms.InstanceNormalization),
    "residual": _residual,
    "depthwise": _depthwise,
    "transposed": _transposed,
    "attention": _attention,
    "lstm": lambda: _recurrent(L.LSTM),
    "gru": lambda: _recurrent(L.GRU),
    "two in two out": two_in_two_out,
    "embedding": _embedding,
    "two branches": _two_branches,
    "pools": _pools,
    "excitation": _excitation,
    "unet": _unet,
    "permuted": _permuted,
    "dense": _dense,
    "grouped 1d": _grouped_1d,
}
FIXED_IN_TFLITE = ("lstm", "gru")  # recurrent layers need a fixed batch there
QUANTIZED = ("batch", "group", "residual", "depthwise", "pools", "excitation", "dense", "unet")


def base_model(name: str) -> keras.Model:
    keras.utils.set_random_seed(zlib.crc32(name.encode()))
    return randomize(BASES[name](), seed=zlib.crc32(name.encode()))
