"""Lowerings that are wrong on purpose: no export passes, of the pack's norms or of Keras' own, in either format."""

import sys
from functools import partial

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import VerificationError, lowerings, to_onnx, to_tflite
from keras_norms.export.verification import compare_input as comparing
from keras_norms.export.verification import judge_artifact
from models import randomize

import keras_norms

pytestmark = pytest.mark.runtime
judging = sys.modules["keras_norms.export.pipeline.judge"]  # the package has the function under this name
L, SIZE, GROUPS = keras.layers, 8, 4  # rows, columns and channels alike, so that a wrong axis has a shape that fits
NORMS = {
    "pack_group": lambda **kw: keras_norms.GroupNormalization(GROUPS, **kw),
    "pack_instance": keras_norms.InstanceNormalization,
    "pack_layer": keras_norms.LayerNormalization,
    "pack_batch": keras_norms.BatchNormalization,
    "keras_group": lambda **kw: L.GroupNormalization(GROUPS, **kw),
    "keras_group_small": lambda **kw: L.GroupNormalization(GROUPS, epsilon=1e-6, **kw),
    "keras_layer": L.LayerNormalization,
    "keras_layer_small": lambda **kw: L.LayerNormalization(epsilon=1e-6, **kw),
    "keras_rms": L.RMSNormalization,
    "keras_batch": L.BatchNormalization,
}


class Altered:
    """A layer that says something else about itself."""

    def __init__(self, layer, **said):
        self.__dict__.update(said, _layer=layer)

    def __getattr__(self, name):
        return getattr(self._layer, name)


def altered(**changes):
    """A lowering that reads some attributes of the layer changed, each by its function of (value, layer)."""

    def wrong(lower, layer, channels_first):
        said = {name: change(getattr(layer, name), layer) for name, change in changes.items() if hasattr(layer, name)}
        return lower(Altered(layer, **said), channels_first)

    return wrong


def per_channel(change):
    def changed(weight, layer):
        return weight if isinstance(weight, bool) else change(ops.convert_to_numpy(weight).copy(), layer)

    return changed


def swapped(values, layer):
    values[[2, 5]] = values[[5, 2]]
    return values


def one_off(values, layer):
    values[np.argmax(np.abs(values))] *= 1.001
    return values


def elements(layer):
    return {"layer": SIZE, "group": SIZE * SIZE * SIZE // GROUPS, "instance": SIZE * SIZE}[kind(layer.name)]


def shrunk(layer):
    return (elements(layer) - 1) / elements(layer)


def around(before, after):
    """A lowering whose input and output are rearranged."""

    def wrong(lower, layer, channels_first):
        right = lower(layer, channels_first)
        return lambda x: after(right(before(x)))

    return wrong


def in_one_pass(lower, layer, channels_first):
    """The variance as mean(x^2) - mean(x)^2."""
    groups = {"group": GROUPS, "instance": SIZE, "layer": 1}[kind(layer.name)]
    gamma, beta = (ops.convert_to_numpy(w) for w in (layer.gamma, layer.beta))

    def call(x):
        axes = [3, 4] if kind(layer.name) == "layer" else [1, 2, 4]
        parts = ops.reshape(x, (-1, SIZE, SIZE, groups, SIZE // groups))
        mean = ops.mean(parts, axes, keepdims=True)
        variance = ops.maximum(ops.mean(parts * parts, axes, keepdims=True) - mean * mean, 0.0)
        y = (parts - mean) * ops.rsqrt(variance + layer.epsilon)
        return ops.reshape(y, (-1, SIZE, SIZE, SIZE)) * gamma + beta

    return call


GROUPED = ("group", "instance")
STATISTICS = (*GROUPED, "layer")
ALL = (*STATISTICS, "rms", "batch")

# What is wrong: (the kinds of norm that it can be done to, how).
FAULTS = {
    "no epsilon": (ALL, altered(epsilon=lambda value, layer: 0.0)),
    "gamma swapped between two channels": (ALL, altered(gamma=per_channel(swapped), scale=per_channel(swapped))),
    "scale off by 1e-3 in one channel": (ALL, altered(gamma=per_channel(one_off), scale=per_channel(one_off))),
    "variance over n - 1": (
        STATISTICS,
        altered(
            gamma=per_channel(lambda values, layer: values * np.sqrt(shrunk(layer))),
            epsilon=lambda value, layer: value * shrunk(layer),
        ),
    ),
    "over another axis": ((*STATISTICS, "rms"), altered(axis=lambda value, layer: 1)),
    "over the batch": (
        GROUPED,
        around(lambda x: ops.reshape(x, (1, -1, SIZE, SIZE)), lambda y: ops.reshape(y, (-1, SIZE, SIZE, SIZE))),
    ),
    "variance in one pass": (STATISTICS, in_one_pass),
}


def applicable():
    """{output: (fault, norm)}; every norm once without a fault."""
    cases = {name: (None, make) for name, make in NORMS.items()}
    for i, (kinds, _) in enumerate(FAULTS.values()):
        cases |= {f"{name}_{i}": (list(FAULTS)[i], make) for name, make in NORMS.items() if kind(name) in kinds}
    return cases


def kind(name):
    return name.split("_")[1]


CASES = applicable()


@pytest.fixture(scope="module", params=[(to_tflite, ".tflite"), (to_onnx, ".onnx")], ids=["tflite", "onnx"])
def report(request, tmp_path_factory):
    """What verification says of one file that holds them all."""
    image = keras.Input((SIZE, SIZE, SIZE), name="image")
    model = keras.Model(image, {name: make(name=name)(image) for name, (_, make) in CASES.items()})
    randomize(model, seed=3)
    seen = []

    def lower(layer, channels_first, right):
        fault = CASES[layer.name][0]
        return right(layer, channels_first) if fault is None else FAULTS[fault][1](right, layer, channels_first)

    def keep(*args, **kwargs):
        seen.append(compare(*args, **kwargs))
        return seen[-1]

    compare = judge_artifact.compare
    export, suffix = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowerings, "LOWERINGS", [(k, partial(lower, right=right)) for k, right in lowerings.LOWERINGS])
        patch.setattr(judge_artifact, "compare", keep)
        patch.setattr(judging, "first_divergence", lambda *args: None)  # the searches take longer than all the rest
        patch.setattr(judging, "divergence_inside", lambda *args: (None, None))
        patch.setattr(comparing, "_swapped", lambda *args: None)  # it compares every output with every other
        with pytest.raises(VerificationError, match="was not written"):
            export(model, tmp_path_factory.mktemp("norms") / f"norms{suffix}")
    return seen[0]


@pytest.mark.parametrize("name", [pytest.param(n, id=f"{n}: {fault or 'right'}") for n, (fault, _) in CASES.items()])
def test_each_norm_passes_only_if_it_is_lowered_right(name, report):
    assert report.outputs[name].ok == (CASES[name][0] is None)
