"""One norm as another: the new layer, and its weights from those of the old one.

    batch norm       y = gamma (x - mu_c) / s_c + beta        mu_c, s_c = sqrt(var_c + epsilon): moving statistics
    affine           gamma' = gamma / s_c                     beta' = beta - gamma mu_c / s_c
    group norm       y = gamma' (x - mu_g) / s_g + beta'      mu_g, s_g: of the sample, over a group of channels

If each sample's statistics were the moving ones, a group of channels would have the moments

    mu_g = mean of mu_c        var_g = mean of (var_c + mu_c^2) - mu_g^2

and group norm would compute the same with

    gamma' = gamma s_g / s_c        beta' = beta + gamma (mu_g - mu_c) / s_c

Layer norm has one group, instance norm as many as channels, where gamma' = gamma and beta' = beta.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np

from keras_norms import _norms
from keras_norms._batch_statistics import statistics_of
from keras_norms._channel_affine import ChannelAffine
from keras_norms._norm_facts import (
    Weights,
    axis_of,
    channels_of,
    config_of,
    config_with_affine,
    is_batch,
    is_of_pack,
    is_renorm,
    rank_of,
    weights_of,
    why_not_one_axis,
)
from keras_norms.batch_normalization import BatchNormalization
from keras_norms.batch_renormalization import BatchRenormalization
from keras_norms.group_normalization import GroupNormalization
from keras_norms.instance_normalization import InstanceNormalization
from keras_norms.layer_normalization import LayerNormalization
from keras_norms.renorm_schedule import RenormSchedule

To = Literal[
    "batch",
    "renorm",
    "group",
    "instance",
    "layer",
    "frozen",
    "synchronized",
    "ghost",
    "none",
    "keras",
    "keras_norms",
]
TARGETS: tuple[str, ...] = get_args(To)

_BATCH = ("axis", "momentum", "moving_mean_initializer", "moving_variance_initializer", "synchronized")


@dataclass(frozen=True)
class Options:
    """The arguments of `convert_norms` that only some targets need."""

    groups: int | Literal["auto"] = "auto"
    schedule: RenormSchedule | None = None
    virtual_batch_size: int | None = None


class Conversion(NamedTuple):
    """A new layer, its weights by name, whether it computes the same in inference, what became of the weights."""

    layer: Any
    weights: Weights
    exact: bool
    told: str


class Stays(NamedTuple):
    """Why a norm stays as it is."""

    reason: str


def convert(layer: Any, to: str, options: Options) -> Conversion | Stays:
    """The conversion of one norm."""
    if not _norms.computes_as_named(layer, (*_norms.BATCH_NORMS, *_norms.SAMPLE_NORMS)):
        return Stays(f"its class {type(layer).__name__} has a call of its own")
    if not layer.built:
        return Stays("it is not built")
    return _TARGETS[to](layer, options)


def _not_one_axis(layer: Any) -> Stays | None:
    why = why_not_one_axis(layer)
    return None if why is None else Stays(why)


# Batch norms


def _as_batch(layer: Any, cls: Any, **changed: Any) -> Conversion:
    """A batch norm of the pack from any norm."""
    if is_batch(layer):
        config = {**config_of(layer, *_BATCH), **changed}
        if "virtual_batch_size" not in changed and getattr(layer, "virtual_batch_size", None):
            config["virtual_batch_size"] = layer.virtual_batch_size
        same_training = is_renorm(layer) == (cls is BatchRenormalization)
        note = "all kept" if same_training else "all kept; training differs"
        return Conversion(cls.from_config(config), weights_of(layer), True, note)
    new = cls.from_config({**config_of(layer), "axis": axis_of(layer), **changed})
    return Conversion(new, weights_of(layer), False, "gamma and beta kept; statistics unknown: recalibrate")


def _batch(layer: Any, _options: Options) -> Conversion | Stays:
    if type(layer) is BatchNormalization:
        return Stays("it is one already")
    return _not_one_axis(layer) or _as_batch(layer, BatchNormalization)


def _renorm(layer: Any, options: Options) -> Conversion | Stays:
    if type(layer) is BatchRenormalization:
        return Stays("it is one already")
    changed = {} if options.schedule is None else {"schedule": keras.saving.serialize_keras_object(options.schedule)}
    return _not_one_axis(layer) or _as_batch(layer, BatchRenormalization, **changed)


def _pack_class(layer: Any) -> Any:
    return BatchRenormalization if is_renorm(layer) else BatchNormalization


def _synchronized(layer: Any, _options: Options) -> Conversion | Stays:
    if not is_batch(layer):
        return Stays("it has no statistics of a batch")
    return _as_batch(layer, _pack_class(layer), synchronized=True, virtual_batch_size=None)


def _ghost(layer: Any, options: Options) -> Conversion | Stays:
    if not is_batch(layer):
        return Stays("it has no statistics of a batch")
    return _as_batch(layer, _pack_class(layer), synchronized=False, virtual_batch_size=options.virtual_batch_size)


def _frozen(layer: Any, _options: Options) -> Conversion | Stays:
    if not is_batch(layer):
        return Stays("it has no statistics of a batch")
    new = type(layer).from_config({**layer.get_config(), "trainable": False})
    return Conversion(new, _all_weights(layer), True, "all kept, none trained")


def _none(layer: Any, _options: Options) -> Conversion | Stays:
    if not is_batch(layer):
        return Stays("its statistics are those of each sample, so that no scale and shift can stand for it")
    w = weights_of(layer)
    scale = w["gamma"] / np.sqrt(w["moving_variance"] + layer.epsilon)
    weights = {"gamma": scale, "beta": w["beta"] - w["moving_mean"] * scale}
    new = ChannelAffine(layer.axis, name=layer.name, dtype=layer.dtype_policy, trainable=layer.trainable)
    return Conversion(new, weights, True, "statistics merged into gamma and beta")


# Norms of the sample


def _group(layer: Any, options: Options) -> Conversion | Stays:
    if isinstance(layer, (GroupNormalization, keras.layers.GroupNormalization)):
        return Stays("it is one already")
    why = _not_one_axis(layer)
    if why is not None:
        return why
    channels = channels_of(layer)
    groups = groups_for(channels, rank_of(layer)) if options.groups == "auto" else options.groups
    if groups != -1 and channels % groups:
        return Stays(f"its {channels} channels do not divide into {groups} groups")
    return _of_the_sample(layer, GroupNormalization, channels if groups == -1 else groups, groups=groups)


def _instance(layer: Any, _options: Options) -> Conversion | Stays:
    if isinstance(layer, InstanceNormalization):
        return Stays("it is one already")
    if rank_of(layer) < 3:
        return Stays("its input has no positions, of which instance norm takes the statistics")
    return _not_one_axis(layer) or _of_the_sample(layer, InstanceNormalization, channels_of(layer))


def _layer(layer: Any, _options: Options) -> Conversion | Stays:
    if isinstance(layer, (LayerNormalization, keras.layers.LayerNormalization)):
        return Stays("it is one already")
    return _of_the_sample(layer, LayerNormalization, 1)


def _of_the_sample(layer: Any, cls: Any, count: int, **changed: Any) -> Conversion:
    if not is_batch(layer):
        new = cls.from_config({**config_of(layer), "axis": axis_of(layer), **changed})
        return Conversion(new, weights_of(layer), False, "gamma and beta kept")
    new = cls.from_config({**config_with_affine(layer), "axis": axis_of(layer), **changed})
    weights = matched(weights_of(layer), count, layer.epsilon)
    return Conversion(new, weights, False, "gamma and beta matched to the moving statistics, which are dropped")


def matched(w: Weights, groups: int, epsilon: float) -> Weights:
    """Gamma and beta of a group norm that computes the batch norm, where a sample has the moving statistics."""
    mean, variance = w["moving_mean"].reshape(groups, -1), w["moving_variance"].reshape(groups, -1)
    mean_g = mean.mean(axis=1, keepdims=True)
    variance_g = (variance + mean**2).mean(axis=1, keepdims=True) - mean_g**2
    ratio = (np.sqrt(variance_g + epsilon) / np.sqrt(variance + epsilon)).reshape(-1)
    shift = ((mean_g - mean) / np.sqrt(variance + epsilon)).reshape(-1)
    return {"gamma": w["gamma"] * ratio, "beta": w["beta"] + w["gamma"] * shift}


def groups_for(channels: int, rank: int) -> int:
    """The most groups, 32 at most, that divide the channels and have at least 4 of them, without positions 8."""
    least = 4 if rank > 2 else 8
    return max((n for n in range(1, 33) if channels % n == 0 and channels // n >= least), default=1)


# The same norm of the other package


def _keras(layer: Any, _options: Options) -> Conversion | Stays:
    if not is_of_pack(layer):
        return Stays("it is one of Keras already")
    if is_batch(layer):
        return _keras_batch(layer)
    if isinstance(layer, LayerNormalization):
        return _swap(layer, keras.layers.LayerNormalization, "axis")
    groups = -1 if isinstance(layer, InstanceNormalization) else layer.groups
    return _swap(layer, keras.layers.GroupNormalization, "axis", groups=groups)


def _keras_batch(layer: Any) -> Conversion:
    config = config_of(layer, *_BATCH)
    dropped = ["virtual_batch_size"] if layer.virtual_batch_size is not None else []
    if config["synchronized"] and keras.backend.backend() != "tensorflow":
        config["synchronized"] = False
        dropped.append("synchronized")
    if is_renorm(layer):
        if "renorm" in inspect.signature(keras.layers.BatchNormalization.__init__).parameters:
            r_max, d_max = layer.schedule.r_max, layer.schedule.d_max
            clipping = {"rmax": r_max, "rmin": 1.0 / r_max, "dmax": d_max}
            config |= {"renorm": True, "renorm_clipping": clipping, "renorm_momentum": layer.momentum}
        dropped.append("schedule")
    told = "all kept" + (f"; without {' and '.join(dropped)}, so that training differs" if dropped else "")
    return Conversion(keras.layers.BatchNormalization.from_config(config), weights_of(layer), True, told)


def _keras_norms(layer: Any, _options: Options) -> Conversion | Stays:
    if is_of_pack(layer):
        return Stays("it is one of keras_norms already")
    if is_batch(layer):
        return _as_batch(layer, _pack_class(layer))
    if getattr(layer, "rms_scaling", False):
        return Stays("it does not centre (rms_scaling=True), and keras_norms has no norm that does not")
    if isinstance(layer, keras.layers.LayerNormalization):
        return _swap(layer, LayerNormalization, "axis")
    groups = layer.groups if layer.groups != channels_of(layer) else -1
    return _swap(layer, GroupNormalization, "axis", groups=groups)


def _swap(layer: Any, cls: Any, *names: str, **changed: Any) -> Conversion:
    return Conversion(cls.from_config({**config_of(layer, *names), **changed}), _all_weights(layer), True, "all kept")


def _all_weights(layer: Any) -> Weights:
    return {w.name: keras.ops.convert_to_numpy(w) for w in layer.weights}


_TARGETS: dict[str, Callable[[Any, Options], Conversion | Stays]] = {
    "batch": _batch,
    "renorm": _renorm,
    "group": _group,
    "instance": _instance,
    "layer": _layer,
    "frozen": _frozen,
    "synchronized": _synchronized,
    "ghost": _ghost,
    "none": _none,
    "keras": _keras,
    "keras_norms": _keras_norms,
}


def assign(layer: Any, weights: Weights) -> None:
    """Give a built norm its weights; the second pair of statistics of Keras' renorm follows from the first."""
    for name, value in weights.items():
        weight = getattr(layer, name, None)
        if weight is not None:
            weight.assign(value)
    for weight in statistics_of(layer)[2:]:
        if weight.name not in weights:
            mean, variance = weights["moving_mean"], weights["moving_variance"]
            weight.assign(mean if weight.name == "renorm_mean" else np.sqrt(variance + layer.epsilon))
