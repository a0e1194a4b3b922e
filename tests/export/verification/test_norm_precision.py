"""Lowered norms against float64: every rank and axis in one file, in LiteRT's kernels and XNNPACK's."""

import keras
import numpy as np
import oracles
import pytest
from keras_norms.export import to_tflite
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from models import randomize

import keras_norms

pytestmark = pytest.mark.runtime
SHAPES = {"x2": (8,), "x3": (40, 8), "x4": (24, 24, 16), "large": (72, 80, 8), "x5": (3, 4, 5, 8), "first": (8, 6, 5)}
GN, IN, LN, RMS = (
    keras_norms.GroupNormalization,
    keras_norms.InstanceNormalization,
    keras_norms.LayerNormalization,
    keras.layers.RMSNormalization,
)


def rms(x, layer):
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + layer.epsilon) * weights(layer)[0]


def deprecated_rms(x, layer):
    return x / np.sqrt(np.var(x, axis=-1, keepdims=True) + layer.epsilon) * weights(layer)[0]


def weights(layer):
    return [keras.ops.convert_to_numpy(weight).astype("float64") for weight in layer.weights]


def group(x, layer):
    return oracles.group_norm(x, layer.groups, *weights(layer), layer.epsilon, layer.axis)


def instance(x, layer):
    return oracles.instance_norm(x, *weights(layer), layer.epsilon, layer.axis)


def layer(x, layer):
    return oracles.layer_norm(x, *weights(layer), layer.epsilon, layer.axis)


# output: (input, layer, oracle, largest error on a constant input of 1234)
CASES = {
    "gn2": ("x2", lambda **kw: GN(2, **kw), group, 1e-2),
    "gn3": ("x3", lambda **kw: GN(2, **kw), group, 1e-2),
    "gn4": ("x4", lambda **kw: GN(4, **kw), group, 1e-2),
    "gn4_keras": ("x4", lambda **kw: keras.layers.GroupNormalization(4, **kw), group, 1e-2),
    "gn_large": ("large", lambda **kw: GN(4, **kw), group, 1e-2),
    "gn5": ("x5", lambda **kw: GN(2, **kw), group, 1e-2),
    "gn_first": ("first", lambda **kw: GN(4, axis=1, **kw), group, 1e-2),
    "gn_middle": ("first", lambda **kw: GN(3, axis=2, **kw), group, 1e-2),
    "in4": ("x4", IN, instance, 1e-2),
    "in_first": ("first", lambda **kw: IN(axis=1, **kw), instance, 1e-2),
    "ln3": ("x3", LN, layer, 1e-3),
    "ln4": ("x4", LN, layer, 1e-3),
    "ln_first": ("first", lambda **kw: LN(axis=1, **kw), layer, 1e-3),
    "rms3": ("x3", RMS, rms, None),
    "rms4": ("x4", RMS, rms, None),
    "ln_rms": ("x4", lambda **kw: keras.layers.LayerNormalization(rms_scaling=True, **kw), deprecated_rms, None),
}
KERNELS = pytest.mark.parametrize("xnnpack", [True, False])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    inputs = {name: keras.Input(shape, name=name) for name, shape in SHAPES.items()}
    outputs = {name: make(name=name)(inputs[given]) for name, (given, make, _, _) in CASES.items()}
    model = randomize(keras.Model(inputs, outputs))
    files = {size: tmp_path_factory.mktemp("norms") / "norms.tflite" for size in (None, 1)}
    reports = {size: to_tflite(model, path, batch_size=size) for size, path in files.items()}
    return model, files, reports


def errors(exported, xnnpack, arrays, size=1):
    """{output: (largest error, largest expected value)}."""
    model, files, _ = exported
    got = TFLiteRunner(files[size], kernels="xnnpack" if xnnpack else "builtin").run(arrays)
    found = {}
    for name, (given, _, oracle, _) in CASES.items():
        expected = oracle(arrays[given].astype("float64"), model.get_layer(name))
        found[name] = np.abs(got[name] - expected).max(), np.abs(expected).max()
    return found


def drawn(batch=1, offset=0.0, spread=1.0):
    rng = np.random.default_rng(1)
    return {n: (offset + spread * rng.normal(size=(batch, *shape))).astype("float32") for n, shape in SHAPES.items()}


@KERNELS
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_ordinary_inputs_in_a_free_batch(batch, xnnpack, exported):
    for name, (error, scale) in errors(exported, xnnpack, drawn(batch, offset=0.5, spread=2.0), None).items():
        assert error < 2e-5 * scale, name


@KERNELS
def test_an_offset_of_ten_thousand(xnnpack, exported):
    for name, (error, scale) in errors(exported, xnnpack, drawn(offset=1e4)).items():
        limit = 2e-5 * scale if name == "ln_rms" else 2e-2  # that one keeps the mean
        assert error < limit, name


@KERNELS
def test_a_constant_input_gives_beta(xnnpack, exported):
    for name, (error, _) in errors(exported, xnnpack, drawn(offset=1234.0, spread=0.0)).items():
        if CASES[name][3] is not None:
            assert error < CASES[name][3], name


@KERNELS
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_one_group_poisons_no_other(poison, xnnpack, exported):
    _, files, _ = exported
    arrays = drawn()
    clean = TFLiteRunner(files[1], kernels="xnnpack" if xnnpack else "builtin").run(arrays)
    arrays["x4"][0, 3, 3, 0] = arrays["large"][0, 3, 3, 0] = arrays["first"][0, 0, 3, 3] = poison
    got = TFLiteRunner(files[1], kernels="xnnpack" if xnnpack else "builtin").run(arrays)
    for name, size in (("gn4", 4), ("gn_large", 2), ("in4", 1)):
        # LiteRT's own pooling takes infinity for the largest float, so that group itself may come out finite there.
        assert np.isinf(poison) or np.isnan(got[name][..., :size]).all()
        np.testing.assert_array_equal(got[name][..., size:], clean[name][..., size:])
    np.testing.assert_array_equal(got["gn_first"][:, 2:], clean["gn_first"][:, 2:])


def test_static_shapes_stay_static_and_nothing_has_more_than_four_dimensions(exported):
    from keras_norms.export.formats.tflite.flatbuffer_graph import Graph

    _, files, reports = exported
    assert not {"SHAPE", "STRIDED_SLICE", "PACK", "GATHER", "TRANSPOSE"} & set(reports[1].ops)
    graph = Graph(files[1].read_bytes())
    ends = {int(i) for i in (*graph.subgraph.inputs, *graph.subgraph.outputs)}
    inner = {int(i) for op in graph.ops for i in op.outputs} - ends
    assert max(len(graph.shape(i)) for i in inner) == 4
