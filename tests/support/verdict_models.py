"""Files of which verification has once said now this and now that, and others that are hard to judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from models import NORMS, image_net, randomize, two_in_two_out
from norm_mutants import export_unverified, network

L = keras.layers


def _flaky() -> keras.Model:
    inputs = [keras.Input((10, 9, 4), name=name) for name in ("in0", "in1")]
    x = L.DepthwiseConv2D(2, depth_multiplier=2, padding="same")(L.Activation("sigmoid")(L.Concatenate()(inputs)))
    x = L.Concatenate()([x, L.Dense(4, activation="sigmoid")(x)])
    x = L.SeparableConv2D(4, 3)(L.Conv2DTranspose(8, 3, strides=2, padding="same")(x))
    x = L.Concatenate()([x, L.Dense(2, activation="tanh")(x)])
    return keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling2D()(x)))


def _transposed(strides: int, size: int, activation: str | None, padding: str = "same") -> Callable[[], keras.Model]:
    def make() -> keras.Model:
        x = keras.Input((size, size, 3), name="x")
        y = L.Conv2DTranspose(6, 3, strides, padding=padding, activation=activation)(x)
        y = L.Conv2DTranspose(4, 4, 2, padding="same")(L.ReLU()(y))
        return keras.Model(x, L.Conv2D(2, 1, name="y")(y))

    return make


def _head(shape: tuple[int, ...], *layers: Any) -> Callable[[], keras.Model]:
    def make() -> keras.Model:
        x = inputs = keras.Input(shape, name="x")
        for layer in layers:
            x = layer()(x)
        return keras.Model(inputs, x)

    return make


def _chaotic() -> keras.Model:
    """The logistic map at r = 4: each step doubles every error."""
    x = y = keras.Input((8,), name="x")
    y = ops.sigmoid(y)
    for _ in range(24):
        y = 3.999 * y * (1.0 - y)
    return keras.Model(x, y)


def _slightly_chaotic() -> keras.Model:
    x = y = keras.Input((8,), name="x")
    y = ops.sigmoid(y)
    for _ in range(9):
        y = 3.999 * y * (1.0 - y)
    return keras.Model(x, y)


def _saturated() -> keras.Model:
    x = keras.Input((8,), name="x")
    return keras.Model(x, ops.sigmoid(60.0 * L.Dense(8)(ops.tanh(50.0 * L.Dense(16)(x)))))


def _division() -> keras.Model:
    """Infinite where the denominator is zero."""
    x = keras.Input((8,), name="x")
    return keras.Model(x, L.Dense(4)(x) / ops.relu(L.Dense(4)(x)))


def _length() -> keras.Model:
    x = keras.Input((None, 4), name="x")
    return keras.Model(x, L.Dense(3)(L.GlobalMaxPooling1D()(L.Conv1D(8, 5, activation="relu")(x))))


# name: the model, the suffix, how it is exported. All have a free batch unless a size is given.
FILES: dict[str, tuple[Callable[[], keras.Model], str, dict[str, Any]]] = {
    "flaky": (_flaky, ".tflite", {}),
    "flaky onnx": (_flaky, ".onnx", {}),
    "transposed": (_transposed(2, 5, "relu"), ".tflite", {}),
    "transposed valid": (_transposed(2, 6, None, "valid"), ".tflite", {}),
    "transposed fixed": (_transposed(3, 5, "tanh"), ".tflite", {"batch_size": 2}),
    "transposed onnx": (_transposed(2, 5, "relu"), ".onnx", {}),
    "group norm": (lambda: image_net(NORMS["GroupNormalization"]), ".tflite", {}),
    "group norm onnx": (lambda: image_net(NORMS["GroupNormalization"]), ".onnx", {}),
    "instance norm": (lambda: image_net(NORMS["InstanceNormalization"]), ".tflite", {}),
    "batch norm": (lambda: image_net(NORMS["BatchNormalization"]), ".tflite", {}),
    "two in two out": (two_in_two_out, ".tflite", {}),
    "deep": (lambda: network("conv, group norm", 24), ".tflite", {}),
    "residual onnx": (lambda: network("residual, group norm", 16), ".onnx", {}),
    "chaotic": (_chaotic, ".tflite", {}),
    "chaotic onnx": (_chaotic, ".onnx", {}),
    "slightly chaotic": (_slightly_chaotic, ".tflite", {}),
    "saturated": (_saturated, ".tflite", {}),
    "infinite": (_division, ".tflite", {}),
    "free length onnx": (_length, ".onnx", {}),
    "resize and pool": (
        _head((7, 9, 3), lambda: L.UpSampling2D(2, interpolation="bilinear"), lambda: L.MaxPooling2D(3, 2, "same")),
        ".tflite",
        {},
    ),
    "int8": (lambda: image_net(NORMS["GroupNormalization"], channels=16), ".tflite", {"quantize": "int8"}),
    "float16 onnx": (lambda: image_net(NORMS["LayerNormalization"], channels=16), ".onnx", {"quantize": "float16"}),
}


def prepared(name: str, folder: Path) -> tuple[keras.Model, Path, dict[str, Any]]:
    """The model, its file (the one that lies there, if it does) and what `verify` is given with them."""
    make, suffix, options = FILES[name]
    keras.utils.set_random_seed(41)
    model, path, given = randomize(make(), seed=41), folder / f"m{suffix}", {}
    if options.get("quantize") == "int8":
        given = {"inputs": np.random.default_rng(5).normal(size=(24, *model.inputs[0].shape[1:])).astype("float32")}
        options = {**options, "calibration": given["inputs"]}
    if not path.exists():
        export_unverified(model, path, **options)
    return model, path, given
