"""The network of the demo: a residual CNN in which a norm, or none, follows every convolution."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from keras_norms import (
    BatchNormalization,
    BatchRenormalization,
    GroupNormalization,
    RenormSchedule,
)

Norm = Callable[[str], keras.layers.Layer]


NORMS = ("no norm", "batch norm", "batch renorm", "group norm")


def make_norm(kind: str, momentum: float, total_steps: int) -> Norm | None:
    """A function that makes a layer of the kind `kind`, one of `NORMS`, with the name that it is given."""
    if kind == "no norm":
        return None
    schedule = RenormSchedule.for_training(total_steps)
    makers: dict[str, Norm] = {
        "batch norm": lambda name: BatchNormalization(momentum=momentum, name=name),
        "batch renorm": lambda name: BatchRenormalization(momentum=momentum, schedule=schedule, name=name),
        "group norm": lambda name: GroupNormalization(groups=8, name=name),
    }
    return makers[kind]


def residual_cnn(norm: Norm | None, widths: tuple[int, ...] = (16, 32, 64)) -> keras.Model:
    """A stem and one residual block for each width; every block but the first halves the image. Gives ten logits."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.ReLU(name="stem_relu")(_conv_norm(image, widths[0], 3, 1, norm, "stem"))
    for i, width in enumerate(widths, start=1):
        strides = 1 if i == 1 else 2
        shortcut = x if strides == 1 else _conv_norm(x, width, 1, strides, norm, f"block{i}_shortcut")
        y = layers.ReLU(name=f"block{i}_relu_a")(_conv_norm(x, width, 3, strides, norm, f"block{i}_a"))
        y = _conv_norm(y, width, 3, 1, norm, f"block{i}_b")
        x = layers.ReLU(name=f"block{i}_relu")(layers.Add(name=f"block{i}_add")([shortcut, y]))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="residual_cnn")


def _conv_norm(
    x: keras.KerasTensor, width: int, kernel: int, strides: int, norm: Norm | None, name: str
) -> keras.KerasTensor:
    """A convolution and its norm; without one it has a bias."""
    convolution = layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=norm is None, name=f"{name}_conv"
    )
    return convolution(x) if norm is None else norm(f"{name}_norm")(convolution(x))
