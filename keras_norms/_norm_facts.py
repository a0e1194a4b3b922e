"""What a norm is: its class, its weights, its input, and what another norm can take over of its config."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_norms._norms import BATCH_NORMS
from keras_norms._pooled_moments import Array
from keras_norms.batch_renormalization import BatchRenormalization

Weights = dict[str, Array]

_COMMON = ("name", "trainable", "dtype", "epsilon", "center", "scale")
_AFFINE = tuple(
    f"{weight}_{what}" for weight in ("beta", "gamma") for what in ("initializer", "regularizer", "constraint")
)


def is_batch(layer: Any) -> bool:
    return isinstance(layer, BATCH_NORMS)


def is_renorm(layer: Any) -> bool:
    return isinstance(layer, BatchRenormalization) or bool(is_batch(layer) and getattr(layer, "renorm", False))


def is_of_pack(layer: Any) -> bool:
    return type(layer).__module__.startswith("keras_norms.")


def told(layer: Any) -> str:
    """The class of a norm, and whose it is."""
    name = type(layer).__name__
    renorm = "(renorm=True)" if is_renorm(layer) and not is_of_pack(layer) else ""
    return f"{'' if is_of_pack(layer) else 'keras.layers.'}{name}{renorm}"


def weights_of(layer: Any) -> Weights:
    """The weights by name; gamma of ones and beta of zeros where they are switched off."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    found = {n: getattr(layer, n, None) for n in names}
    arrays = {n: keras.ops.convert_to_numpy(v).astype("float64") for n, v in found.items() if v is not None}
    if arrays:
        some = next(iter(arrays.values()))
        arrays.setdefault("gamma", np.ones_like(some))
        arrays.setdefault("beta", np.zeros_like(some))
    return arrays


def rank_of(layer: Any) -> int:
    return len(layer.get_build_config()["input_shape"])


def channels_of(layer: Any) -> int:
    size = layer.get_build_config()["input_shape"][axis_of(layer)]
    assert isinstance(size, int)
    return size


def axis_of(layer: Any) -> int:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return int(axes[0])


def why_not_one_axis(layer: Any) -> str | None:
    """Why no norm with one channel axis can take its place; None if one can."""
    if isinstance(layer.axis, (list, tuple)) and len(layer.axis) > 1:
        return f"it normalizes over the axes {list(layer.axis)}, and the other has one channel axis"
    if getattr(layer, "rms_scaling", False):
        return "it does not centre (rms_scaling=True)"
    return None


def config_of(layer: Any, *names: str) -> dict[str, Any]:
    """The entries of its config that the other norm takes too."""
    config = layer.get_config()
    return {name: config[name] for name in (*_COMMON, *_AFFINE, *names) if name in config}


def config_with_affine(layer: Any) -> dict[str, Any]:
    """The same for a norm that scales and shifts whether or not this one does."""
    return {**config_of(layer), "center": True, "scale": True}
