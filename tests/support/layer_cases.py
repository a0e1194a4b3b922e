"""One row for each way of using a layer: how to make it, an input shape it takes, and its oracle."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import oracles
from versions import SORTS_AXES

import keras_norms

OPEN = keras_norms.RenormSchedule.constant(3.0, 5.0)


@dataclass(frozen=True)
class Case:
    layer: type
    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    twin: Callable[..., Any] | None = None  # the Keras layer of the same meaning

    @property
    def id(self):
        arguments = ",".join(f"{k}={v}" for k, v in self.arguments.items() if k != "schedule")
        return f"{self.layer.__name__}{self.shape}({arguments})".replace(" ", "")

    @property
    def has_batch_statistics(self):
        return issubclass(self.layer, keras_norms.BatchNormalization)

    def make(self, **more):
        return self.layer(**{**self.arguments, **more})

    def make_twin(self, **more):
        return self.twin(**{**self.arguments, **more})


BN, BRN = keras_norms.BatchNormalization, keras_norms.BatchRenormalization
GN, IN, LN = keras_norms.GroupNormalization, keras_norms.InstanceNormalization, keras_norms.LayerNormalization
KBN, KGN, KLN = keras.layers.BatchNormalization, keras.layers.GroupNormalization, keras.layers.LayerNormalization


def _instance_twin(**arguments):
    return KGN(groups=-1, **arguments)


CASES = (
    Case(BN, (8, 6), {}, KBN),
    Case(BN, (4, 5, 6), {}, KBN),
    Case(BN, (4, 3, 5, 6), {}, KBN),
    Case(BN, (2, 3, 4, 5, 6), {}, KBN),
    Case(BN, (4, 6, 5), {"axis": 1}, KBN),
    Case(BN, (4, 6, 3, 5), {"axis": 1, "epsilon": 1e-5, "momentum": 0.9}, KBN),
    Case(BN, (4, 3, 6, 5), {"axis": -2}, KBN),
    Case(BN, (8, 6), {"center": False}, KBN),
    Case(BN, (4, 3, 5, 6), {"scale": False}, KBN),
    Case(BN, (4, 3, 5, 6), {"scale": False, "center": False}, KBN),
    Case(BRN, (8, 6), {"schedule": OPEN}),
    Case(BRN, (4, 5, 6), {"schedule": OPEN}),
    Case(BRN, (4, 3, 5, 6), {"schedule": OPEN}),
    Case(BRN, (2, 3, 4, 5, 6), {"schedule": OPEN}),
    Case(BRN, (4, 6, 3, 5), {"axis": 1, "epsilon": 1e-5, "momentum": 0.9, "schedule": OPEN}),
    Case(BRN, (4, 3, 5, 6), {"scale": False, "schedule": OPEN}),
    Case(BRN, (4, 3, 5, 6), {"scale": False, "center": False, "schedule": OPEN}),
    Case(GN, (8, 6), {"groups": 3}, KGN),
    Case(GN, (4, 5, 6), {"groups": 2}, KGN),
    Case(GN, (4, 3, 5, 6), {"groups": 3}, KGN),
    Case(GN, (2, 3, 4, 5, 6), {"groups": 1}, KGN),
    Case(GN, (4, 6, 3, 5), {"groups": 3, "axis": 1, "epsilon": 1e-5}, KGN),
    Case(GN, (4, 3, 6, 5), {"groups": 2, "axis": -2}, KGN),
    Case(GN, (4, 3, 5, 6), {"groups": -1}, KGN),
    Case(GN, (4, 3, 5, 6), {"groups": 6, "center": False}, KGN),
    Case(GN, (4, 3, 5, 6), {"groups": 2, "scale": False}, KGN),
    Case(IN, (4, 5, 6), {}, _instance_twin),
    Case(IN, (4, 3, 5, 6), {}, _instance_twin),
    Case(IN, (2, 3, 4, 5, 6), {"epsilon": 1e-5}, _instance_twin),
    Case(IN, (4, 6, 3, 5), {"axis": 1}, _instance_twin),
    Case(IN, (4, 3, 5, 6), {"center": False, "scale": False}, _instance_twin),
    Case(LN, (8, 6), {}, KLN),
    Case(LN, (4, 5, 6), {}, KLN),
    Case(LN, (4, 3, 5, 6), {"axis": [1, 2, 3]}, KLN),
    Case(LN, (4, 3, 5, 6), {"axis": [-1, -2], "epsilon": 1e-6}, KLN if SORTS_AXES else None),
    Case(LN, (4, 6, 5), {"axis": 1}, KLN),
    Case(LN, (4, 5, 6), {"center": False}, KLN),
    Case(LN, (4, 5, 6), {"scale": False}, KLN),
    Case(LN, (2, 3, 4, 5, 6), {"axis": -1}, KLN),
)


def inputs(shape, seed=0, dtype="float32", offset=0.5, spread=2.0):
    return np.random.default_rng(seed).normal(offset, spread, size=shape).astype(dtype)


def randomize(layer, shape, seed=1):
    """Builds the layer and gives every floating weight a value between 0.5 and 1.5 (moving_mean around zero)."""
    rng = np.random.default_rng(seed)
    if not layer.built:
        layer.build(shape)
    for weight in layer.weights:
        if weight.name == "step":
            continue
        values = rng.uniform(0.5, 1.5, size=weight.shape) - (1.0 if weight.name in ("moving_mean", "beta") else 0.0)
        weight.assign(values.astype("float32"))
    return layer


def weight_values(layer):
    """Weights by name, with the defaults of those that are switched off."""
    found = {w.name: keras.ops.convert_to_numpy(w) for w in layer.weights}
    return {"gamma": 1.0, "beta": 0.0, **found}


def oracle_inference(layer, x, mask=None):
    """What the layer should give for x in inference mode, by its oracle."""
    w = weight_values(layer)
    if isinstance(layer, BN):
        return oracles.batch_norm_inference(
            x, w["gamma"], w["beta"], w["moving_mean"], w["moving_variance"], layer.epsilon, layer.axis
        )
    if isinstance(layer, IN):
        return oracles.instance_norm(x, w["gamma"], w["beta"], layer.epsilon, layer.axis, mask)
    if isinstance(layer, GN):
        return oracles.group_norm(x, layer.groups, w["gamma"], w["beta"], layer.epsilon, layer.axis, mask)
    if not isinstance(layer, LN):
        raise NotImplementedError(f"write the oracle of {type(layer).__name__} into oracles.py, and a branch here")
    shape = [np.shape(x)[a] for a in sorted(a % np.ndim(x) for a in np.atleast_1d(layer.axis))]
    gamma, beta = (np.broadcast_to(w[name], shape) for name in ("gamma", "beta"))
    return oracles.layer_norm(x, gamma, beta, layer.epsilon, layer.axis)


def oracle_training(layer):
    """A training oracle that starts from the layer's weights; only for batch statistics."""
    w = weight_values(layer)
    common = {"momentum": layer.momentum, "epsilon": layer.epsilon, "axis": layer.axis}
    if isinstance(layer, BRN):
        oracle = oracles.BatchRenorm(
            w["gamma"], w["beta"], w["moving_mean"], w["moving_variance"], layer.schedule, **common
        )
        oracle.step = int(w["step"])
        return oracle
    return oracles.BatchNorm(w["gamma"], w["beta"], w["moving_mean"], w["moving_variance"], **common)
