"""Sums of thousands of numbers: cut in stages, near float64, and within what a half holds."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import lint, to_tflite
from keras_norms.export.formats import stages
from keras_norms.export.formats.tflite.convert.stage_sums import in_stages
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from norm_mutants import export_unverified
from tflite_files import Op, flatbuffer, kinds

import keras_norms

L = keras.layers
runtime = pytest.mark.runtime
pytestmark = pytest.mark.usefixtures("linted_here")


@pytest.mark.parametrize(
    ("counts", "inner"),
    [((112, 112), 1), ((32, 32, 32), 2), ((64, 64, 16), 2), ((4, 5000), 1), ((None, None), 1), ((None, 32, 32), 2)],
)
def test_axes_are_parted_so_that_the_longer_sum_is_short(counts, inner):
    assert stages.inner_axes(counts) == inner


@pytest.mark.parametrize(
    ("count", "parts"),
    [(10_000, (100, 100)), (5000, (50, 100)), (12_003, (3, 4001)), (8198, (91, 91)), (10_007, (101, 100))],
)
def test_an_axis_becomes_two_and_zeros_only_where_it_has_no_short_factors(count, parts):
    assert stages.factors(count, 4096) == parts
    assert parts[0] * parts[1] >= count


@pytest.mark.parametrize(
    ("size", "stride", "first"), [(8, 4, 2), (8, 8, 2), (10_000, 10_000, 100), (7, 3, 1), (12, 8, 4)]
)
def test_a_window_is_made_of_windows_that_start_where_it_may(size, stride, first):
    found = stages.window(size, stride)
    assert found == first
    assert size % found == stride % found == 0


@pytest.mark.parametrize(
    ("counts", "limits", "longest"),
    [
        ((56, 56), stages.SINGLE, 3136),
        ((112, 112), stages.SINGLE, 112),
        ((56, 56), stages.HALF, 56),
        ((16, 16), stages.HALF, 256),
        ((2048,), stages.HALF, 2048),
        ((10_000,), stages.SINGLE, 100),
        ((300, 200, 300), stages.SINGLE, 300),
        ((None,), stages.SINGLE, float("inf")),
    ],
)
def test_how_many_numbers_are_added_up_at_once(counts, limits, longest):
    assert stages.longest(counts, limits) == longest


# --- accuracy, in files written operation by operation

LONG = {
    "112 x 112": ((1, 112, 112, 4), (1, 2)),
    "224 x 224": ((1, 224, 224, 3), (1, 2)),
    "512 x 512": ((1, 512, 512, 1), (1, 2)),
    "10,000": ((2, 10_000, 3), (1,)),
    "100,000, the last": ((1, 100_000), (1,)),
    "10,007, a prime": ((1, 10_007, 2), (1,)),
    "32 x 32 x 32": ((1, 32, 32, 32, 2), (1, 2, 3)),
    "all but the batch": ((1, 64, 64, 8), (1, 2, 3)),
}


def reduction(kind, shape, axes):
    made = tuple(n for i, n in enumerate(shape) if i not in axes)
    ops_ = [Op("NEG", ["x"], "n", shape), Op(kind, ["n", "axes"], "y", made, {"keepDims": False})]
    return flatbuffer({"x": shape}, {"axes": np.array(axes, np.int32)}, ops_, ["y"])


def errors(content, folder, x, expected):
    """By XNNPACK and by LiteRT's own kernels, as shares of the largest result."""
    path = folder / "sum.tflite"
    path.write_bytes(content)
    found = [TFLiteRunner(path, kernels=kernels).run({"x": x})["y"] for kernels in ("xnnpack", "builtin")]
    return [np.abs(y - expected).max() / np.abs(expected).max() for y in found]


@runtime
@pytest.mark.parametrize("case", LONG)
@pytest.mark.parametrize("kind", ["MEAN", "SUM"])
def test_long_sums_are_near_float64(case, kind, tmp_path):
    shape, axes = LONG[case]
    before = reduction(kind, shape, axes)
    after = in_stages(before, stages.SINGLE)
    assert kinds(after) != kinds(before)
    for x in (np.full(shape, 0.1, np.float32), 3 + np.random.default_rng(0).normal(size=shape).astype(np.float32)):
        expected = -(np.mean if kind == "MEAN" else np.sum)(x.astype(np.float64), axis=axes)
        found = errors(after, tmp_path, x, expected)
        assert max(found) <= 2e-5
        if x.flat[0] == x.flat[1]:
            assert max(found) <= 0.1 * max(errors(before, tmp_path, x, expected)), "the cut is what helps"


# --- what Keras writes

SHAPE = (96, 80, 6)


def reducing(shape=SHAPE, batch_size=None):
    """Every way in which a model may add up thousands of numbers."""
    x = keras.Input(shape, name="x", batch_size=batch_size)
    y = L.Conv2D(4, 1, activation="tanh", name="conv")(x)
    made = {
        "pool": L.GlobalAveragePooling2D(name="pool")(y),
        "window": L.AveragePooling2D(SHAPE[:2], name="window")(y) if None not in shape else ops.mean(y, (1, 2)),
        "variance": ops.var(y, axis=(1, 2)) + 1.0,
        "deviation": ops.std(y, axis=(1, 2), keepdims=True) + 1.0,
        "log": ops.logsumexp(y, axis=(1, 2)),
        "total": ops.sum(ops.square(y), axis=(1, 2, 3)) / 1000.0,
    }
    keras.utils.set_random_seed(0)
    model = keras.Model(x, made)
    for variable in model.weights:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape).astype("float32") / 4)
    return model


def expected_of(model, x):
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_layer("conv").get_weights())
    y = np.tanh(x.astype(np.float64) @ kernel[0, 0] + bias)
    mean = y.mean((1, 2))
    return {
        "pool": mean,
        "window": mean,
        "variance": y.var((1, 2)) + 1.0,
        "deviation": y.std((1, 2)) + 1.0,
        "log": np.log(np.exp(y).sum((1, 2))),
        "total": (y**2).sum((1, 2, 3)) / 1000.0,
    }


@runtime
@pytest.mark.parametrize("shape", [SHAPE, (None, None, 6)], ids=["fixed", "free"])
def test_every_way_to_add_up_is_near_float64(shape, tmp_path):
    model, path = reducing(shape), tmp_path / "m.tflite"
    report = to_tflite(model, path, batch_size=1)
    x = (2 + 0.5 * np.random.default_rng(2).normal(size=(1, *SHAPE))).astype("float32")
    # The total is a sum over three axes, of which two have a free size.
    expected = (8, 5, 0) if None in shape else (8, 4, 2)
    assert tuple(report.ops.get(kind, 0) for kind in ("MEAN", "SUM", "AVERAGE_POOL_2D")) == expected
    for kernels in ("xnnpack", "builtin"):
        got = TFLiteRunner(path, kernels=kernels).run({"x": x})
        for name, y in expected_of(model, x).items():
            np.testing.assert_allclose(got[name].reshape(y.shape), y, rtol=0, atol=2e-5 * np.abs(y).max(), err_msg=name)


@runtime
def test_a_sequence_of_free_length_is_left(tmp_path):
    """No reshape parts an axis whose length is not known."""
    x = keras.Input((None, 3))
    report = to_tflite(keras.Model(x, L.GlobalAveragePooling1D()(x)), tmp_path / "m.tflite", batch_size=1)
    assert report.ops == {"MEAN": 1}


@runtime
@pytest.mark.parametrize("shape", [(6000, 8), (24, 20, 18, 8)], ids=str)
def test_group_norm_over_many_positions_is_near_float64(shape, tmp_path):
    model = keras.Sequential([keras.Input(shape, name="x"), keras_norms.GroupNormalization(4, name="norm")])
    export_unverified(model, tmp_path / "m.tflite", batch_size=1)
    x = (0.5 + np.random.default_rng(0).normal(size=(1, *shape))).astype("float32")
    z = x.astype(np.float64).reshape(-1, 4, shape[-1] // 4)
    expected = (z - z.mean((0, 2), keepdims=True)) / np.sqrt(z.var((0, 2), keepdims=True) + 1e-3)
    for kernels in ("xnnpack", "builtin"):
        (got,) = TFLiteRunner(tmp_path / "m.tflite", kernels=kernels).run({"x": x}).values()
        assert np.abs(got.reshape(expected.shape) - expected).max() <= 2e-6 * np.abs(expected).max()


@runtime
@pytest.mark.parametrize("mode", ["float16", "dynamic", "int8", "int16x8"])
def test_quantized_files_keep_their_noise_and_integers_their_single_mean(mode, tmp_path):
    x = keras.Input((96, 80, 3), name="x")
    y = L.Conv2D(8, 3, strides=2, name="conv")(x)
    y = L.ReLU()(keras_norms.GroupNormalization(4, name="norm")(y) if mode != "int8" else y)
    model = keras.Model(x, L.Dense(4, name="out")(L.GlobalAveragePooling2D(name="pool")(L.UpSampling2D(2)(y))))
    given = {} if mode == "float16" else {"calibration": np.random.default_rng(0).normal(size=(8, 96, 80, 3))}
    report = to_tflite(model, tmp_path / "m.tflite", batch_size=1, quantize=mode, **given)
    assert report.verification.ok
    # The norm's mean and variance are over 47 x 39 positions, the pool's over 94 x 78, in floats but in int8.
    assert report.ops.get("MEAN") == (1 if mode == "int8" else 5), json.dumps(report.ops)


# --- target="gpu" and what lint says


def overflow(path, model, x):
    return [f for f in lint(path, model=model, calibration=x).findings if f.kind == "float16 overflow"]


SIZE = {"norm": 8, "input": 8}


def totals(kind):
    x = keras.Input((SIZE.get(kind, 56),) * 2 + (8,), name="x")
    y = {
        "dense": lambda: L.Dense(2, kernel_initializer=keras.initializers.Constant(1e-3), name="out")(
            ops.sum(x, axis=(1, 2))
        ),
        "scaled": lambda: ops.sum(x, axis=(1, 2)) * 1e-3,
        "divided": lambda: ops.sum(x, axis=(1, 2), keepdims=True) / 3136.0,
        "mean": lambda: ops.mean(x, axis=(1, 2)),
        "norm": lambda: keras_norms.GroupNormalization(4, name="norm")(x),
    }[kind]()
    return keras.Model(x, y)


@runtime
@pytest.mark.parametrize("kind", ["dense", "scaled", "divided", "mean", "norm"])
def test_the_remedy_for_a_sum_that_no_half_holds_helps(kind, tmp_path):
    """What lint says is done, and lint looks again."""
    model = totals(kind)
    x = np.full((1, *model.input.shape[1:]), 40.0, "float32")
    x[:, ::2] *= 10 if kind == "norm" else 1
    to_tflite(model, tmp_path / "m.tflite", batch_size=1)
    (finding,) = overflow(tmp_path / "m.tflite", model, x)
    assert "target='gpu'" in finding.remedy, str(finding)
    to_tflite(model, tmp_path / "m.tflite", batch_size=1, target="gpu")
    report = lint(tmp_path / "m.tflite", model=model, calibration=x)
    assert not [f for f in report.findings if f.kind.startswith("float16")], str(report)
    assert max(report.half.values()) < 5e-3


@runtime
@pytest.mark.parametrize("kind", ["alone", "large", "input", "square"])
def test_no_remedy_is_named_that_does_not_help(kind, tmp_path):
    x = keras.Input((SIZE.get(kind, 56),) * 2 + (8,), name="x")
    y = {
        "alone": lambda: ops.sum(x, axis=(1, 2)),
        "large": lambda: L.Dense(2, kernel_initializer="ones")(ops.sum(x, axis=(1, 2))),
        "input": lambda: keras_norms.GroupNormalization(4, name="norm")(x),
        "square": lambda: L.Dense(2)(ops.square(x * 10.0)),
    }[kind]()
    model, given = keras.Model(x, y), np.full((1, *x.shape[1:]), 1e5 if kind == "input" else 40.0, "float32")
    to_tflite(model, tmp_path / "m.tflite", batch_size=1)
    (finding,) = overflow(tmp_path / "m.tflite", model, given)
    assert "target='gpu'" not in finding.remedy, str(finding)
    assert "single precision" in finding.remedy
    assert ("keras.ops.mean" in finding.remedy) == (kind in ("alone", "large"))
