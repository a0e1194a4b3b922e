"""PyTorch's norms as layers of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from keras_norms import _arguments
from keras_norms._pooled_moments import Array
from keras_norms._types import Integer, Number
from keras_norms.batch_normalization import BatchNormalization
from keras_norms.group_normalization import GroupNormalization
from keras_norms.instance_normalization import InstanceNormalization
from keras_norms.layer_normalization import LayerNormalization

Kind = Literal["batch", "group", "instance", "layer"]

_WEIGHTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
# The kind of each class, and the rank of its input, or the usual one where the class takes several.
_CLASSES: dict[str, tuple[Kind, int]] = {
    "BatchNorm1d": ("batch", 2),
    "BatchNorm2d": ("batch", 4),
    "BatchNorm3d": ("batch", 5),
    "SyncBatchNorm": ("batch", 4),
    "GroupNorm": ("group", 4),
    "InstanceNorm1d": ("instance", 3),
    "InstanceNorm2d": ("instance", 4),
    "InstanceNorm3d": ("instance", 5),
    "LayerNorm": ("layer", 0),
}


class _Found(NamedTuple):
    """What a norm of PyTorch is."""

    kind: Kind
    weights: dict[str, Array]
    shape: tuple[int, ...]
    rank: int
    epsilon: float
    momentum: float
    groups: int


def from_torch_norm(
    layer_or_state_dict: Any,
    *,
    prefix: str = "",
    kind: Kind | None = None,
    groups: Integer | None = None,
    rank: Integer | None = None,
    axis: Integer = -1,
    epsilon: Number | None = None,
    name: str | None = None,
) -> keras.Layer:
    """A built layer that computes in inference what a norm of PyTorch does.

        running <- (1 - momentum) * running + momentum * batch      PyTorch
        running <- momentum * running + (1 - momentum) * batch      Keras

    The names weight, bias, running_mean and running_var become gamma, beta, moving_mean and moving_variance, PyTorch's
    `momentum` of 0.1, its default, becomes 0.9 (None, the average of all batches, becomes 0.99, which averages some
    hundred of them), and its `eps` of 1e-5 is taken over. PyTorch's running variance is the unbiased one,
    n / (n - 1) times this package's; it stays as it is, since inference there uses it so. In training both normalize
    by the biased variance; what moves into the moving variance differs by that factor from then on.

    PyTorch has the channels at axis 1. Here they may be anywhere: the weights have no order that depends on it.

    Args:
        layer_or_state_dict: A `BatchNorm1d`, `2d` or `3d`, `SyncBatchNorm`, `GroupNorm`, `InstanceNorm1d`, `2d`, `3d`
            or `LayerNorm`, or its `state_dict()`, or that of a model, of which `prefix` says where the norm is.
        prefix: What the names of the norm's weights begin with, such as "layer1.0.bn1.".
        kind: Of a `state_dict`: which norm it is; None for "batch" if it has running statistics.
        groups: Of the `state_dict` of a group norm: the number of groups, which it does not contain.
        rank: Number of axes of the input. By default that of the class, 2 for `BatchNorm1d`, 4 where nothing says it,
            3 for a layer norm over one axis, and for one over more axes one more than these.
        axis: The channel axis in Keras: -1 for channels-last, 1 for channels-first data. A layer norm is always over
            the last axes.
        epsilon: In place of the layer's `eps`; of a `state_dict` the default is 1e-5.
        name: Name of the new layer.

    Returns:
        A `BatchNormalization`, `GroupNormalization`, `InstanceNormalization` or `LayerNormalization` of this package.

    Raises:
        TypeError: If what is given is no such layer and no mapping of names to arrays, or an argument has the wrong
            type.
        ValueError: If the layer has no weights yet, uses statistics of the batch in inference
            (`track_running_stats=False`) or those of training in an instance norm, or if a `state_dict` does not tell
            which norm it is.

    Example:

    >>> state = {"bn.weight": np.ones(3), "bn.bias": np.zeros(3), "bn.running_mean": np.zeros(3)}
    >>> state["bn.running_var"] = np.full(3, 4.0)
    >>> layer = from_torch_norm(state, prefix="bn.", name="bn")
    >>> type(layer).__name__, layer.epsilon, layer.momentum
    ('BatchNormalization', 1e-05, 0.9)
    >>> print(keras.ops.convert_to_numpy(layer(np.full((1, 2, 2, 3), 2.0)))[0, 0, 0].round(3))
    [1. 1. 1.]

    Reference: PyTorch's documentation of the layers, https://docs.pytorch.org/docs/stable/nn.html#normalization-layers.
    """
    if isinstance(layer_or_state_dict, Mapping):
        found = _from_state(layer_or_state_dict, prefix, kind, groups)
    else:
        found = _from_layer(layer_or_state_dict)
    if rank is not None:
        found = found._replace(rank=_arguments.integer("rank", rank, "Use the number of axes of the input."))
    if epsilon is not None:
        found = found._replace(epsilon=_arguments.epsilon(epsilon))
    return _built(found, _arguments.axis(axis), name)


# What is given


def _from_layer(layer: Any) -> _Found:
    cls = type(layer).__name__
    if cls not in _CLASSES or not hasattr(layer, "state_dict"):
        remedy = "Call it once on a batch." if cls.startswith("Lazy") else "Convert the norms in a model one by one."
        raise TypeError(
            f"from_torch_norm takes one of PyTorch's {', '.join(_CLASSES)}, or a state_dict. "
            f"Received: {layer!r}. {remedy}"
        )
    kind, rank = _CLASSES[cls]
    if kind in ("batch", "instance") and layer.track_running_stats != (kind == "batch"):
        raise ValueError(
            "In inference a batch norm here uses moving statistics, and an instance norm those of the sample. "
            f"Received: {layer!r}, which does not. Set `track_running_stats={kind == 'batch'}` and train on."
        )
    share = getattr(layer, "momentum", 0.1)
    sizes = (getattr(layer, n, None) for n in ("num_features", "num_channels", "normalized_shape"))
    size = next(n for n in sizes if n is not None)
    shape = tuple(size) if kind == "layer" else (int(size),)
    keeps = 0.99 if share is None else 1.0 - share
    return _Found(
        kind,
        _weights(layer.state_dict(), ""),
        shape,
        rank or _rank_of_layer_norm(shape),
        layer.eps,
        keeps,
        getattr(layer, "num_groups", 1),
    )


def _rank_of_layer_norm(shape: tuple[int, ...]) -> int:
    return max(3, len(shape) + 1)


def _weights(state: Mapping[str, Any], prefix: str) -> dict[str, Array]:
    """The weights by the names that they have here."""
    found = {ours: state.get(prefix + theirs) for theirs, ours in _WEIGHTS.items()}
    return {name: _array(value) for name, value in found.items() if value is not None}


def _array(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, "float64")


def _from_state(state: Mapping[str, Any], prefix: str, kind: Kind | None, groups: object) -> _Found:
    weights = _weights(state, prefix)
    if not weights:
        prefixes = sorted({name.rpartition(".")[0] + "." for name in state if name.endswith(("weight", "running_var"))})
        raise ValueError(
            "The state_dict has to hold weights of the norm. "
            f"Received: none of {', '.join(_WEIGHTS)} behind the prefix {prefix!r}. "
            f"Give a `prefix`{': ' + ', '.join(map(repr, prefixes)) if prefixes else ''}."
        )
    running = "moving_mean" in weights and "moving_variance" in weights
    kind = kind or ("batch" if running else None)
    if kind not in ("batch", "group", "instance", "layer") or (kind == "batch") != running:
        raise ValueError(
            f"A state_dict {'with' if running else 'without'} running statistics is that of "
            f"{'a batch norm' if running else 'a group, an instance or a layer norm'}. Received: kind={kind!r}. "
            f"Use kind={'batch' if running else 'group'!r}{'' if running else ', for example, and `groups`'}."
        )
    if (kind == "group") != (groups is not None):
        raise ValueError(
            f"`groups` goes with kind='group', which needs it. Received: kind={kind!r}, groups={groups!r}. "
            "It is the first argument of PyTorch's GroupNorm."
        )
    count = 1 if groups is None else _arguments.groups(groups)
    shape = next(iter(weights.values())).shape
    rank = {"batch": 4, "group": 4, "instance": 4, "layer": _rank_of_layer_norm(shape)}[kind]
    return _Found(kind, weights, shape, rank, 1e-5, 0.9, count)


# What becomes of it


def _built(found: _Found, axis: int, name: str | None) -> keras.Layer:
    center, scale = "beta" in found.weights, "gamma" in found.weights
    layer: Any
    if found.kind == "batch":
        layer = BatchNormalization(axis, found.momentum, found.epsilon, center, scale, name=name)
    elif found.kind == "group":
        layer = GroupNormalization(found.groups, axis, found.epsilon, center, scale, name=name)
    elif found.kind == "instance":
        layer = InstanceNormalization(axis, found.epsilon, center, scale, name=name)
    else:
        last: int | list[int] = -1 if len(found.shape) == 1 else list(range(-len(found.shape), 0))
        layer = LayerNormalization(last, found.epsilon, center, scale, name=name)
    sizes: list[int | None] = [None] * found.rank
    if found.kind == "layer":
        sizes[-len(found.shape) :] = found.shape
    else:
        sizes[axis] = found.shape[0]
    layer.build(tuple(sizes))
    for weight, value in found.weights.items():
        getattr(layer, weight).assign(value)
    return layer
