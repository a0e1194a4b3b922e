"""Artifacts made for real and run in the real runtimes: names, order, shapes, operations, numbers."""

import functools

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export import ExportError, to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from keras_norms.export.formats.onnx.runtime_abilities import layer_norm_is_exact
from models import NORMS, image_net, randomize, two_in_two_out

import keras_norms

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]

SHAPE_PLUMBING = {"SHAPE", "STRIDED_SLICE", "PACK", "GATHER", "Shape", "Concat", "Gather"}

# What a network of two convolutions, two norms, ReLU, pooling and a dense layer comes down to.
FOLDED = {
    ".tflite": {"CONV_2D": 2, "FULLY_CONNECTED": 1, "MEAN": 1},
    ".onnx": {"Conv": 2, "Relu": 2, "MatMul": 1, "Add": 1},
}


def outputs_of(path, *arrays):
    runner = next(iter(format_of(path).runners(path).values()))
    return runner.run({spec.name: array for spec, array in zip(runner.inputs, arrays, strict=True)})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(norm, suffix) -> model, path and report of a network with that norm, made when a test first asks for it."""
    folder = tmp_path_factory.mktemp("every_norm")

    @functools.cache
    def made(norm, suffix):
        model, path = image_net(NORMS[norm]), folder / f"{norm}{suffix}"
        return model, path, EXPORTS[suffix](model, path)

    return made


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_in_a_free_batch(norm, suffix, exported):
    model, path, report = exported(norm, suffix)
    assert report.verification.ok
    assert report.verification.relative < 2e-5
    x = np.random.default_rng(1).normal(size=(5, 12, 12, 3)).astype("float32")
    got = outputs_of(path, x)["logits"]
    np.testing.assert_allclose(got, model(x, training=False), rtol=0, atol=2e-5)
    if "Batch" in norm:
        assert len(report.fold.folded) == 2
        assert {op: n for op, n in report.ops.items() if op in FOLDED[suffix]} == FOLDED[suffix]


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("norm", ["GroupNormalization", "InstanceNormalization", "LayerNormalization"])
def test_a_fixed_batch_leaves_no_shape_arithmetic(norm, suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    report = EXPORTS[suffix](image_net(NORMS[norm]), path, batch_size=2)
    assert not SHAPE_PLUMBING & set(report.ops)
    if suffix == ".onnx" and norm != "LayerNormalization":
        assert report.ops["Transpose"] == 1, (
            "one at the input; behind the last convolution is a mean over all positions"
        )
    (runner, *_) = format_of(path).runners(path).values()
    assert runner.inputs[0].shape == (2, 12, 12, 3)


# All that a norm alone on (1, 6, 6, 8) comes down to, and how often. The ONNX transposes meet those of a convolution.
LOWERED = {
    "BatchNormalization": ("ADD MUL", "Add Mul"),
    "BatchRenormalization": ("ADD MUL", "Add Mul"),
    "GroupNormalization": (
        "4ADD AVERAGE_POOL_2D 3MEAN 3MUL 4RESHAPE RSQRT 2SQUARED_DIFFERENCE 2SUB",
        "BatchNormalization InstanceNormalization 2Reshape Slice Sub 2Transpose",
    ),
    "InstanceNormalization": (
        "2ADD AVERAGE_POOL_2D MEAN 2MUL 2RESHAPE RSQRT SQUARED_DIFFERENCE SUB",
        "InstanceNormalization Slice Sub 2Transpose",
    ),
    "LayerNormalization": ("2ADD 2MEAN 3MUL RSQRT SUB", "LayerNormalization"),
}


@pytest.mark.parametrize("norm", LOWERED)
def test_a_norm_alone_becomes_exactly_these_operations(norm, tmp_path):
    model = randomize(keras.Sequential([keras.Input((6, 6, 8), batch_size=1), NORMS[norm](name="norm")]))
    for (suffix, export), expected in zip(EXPORTS.items(), LOWERED[norm], strict=True):
        ops = export(model, tmp_path / f"m{suffix}", batch_size=1).ops
        if expected == "LayerNormalization" and not layer_norm_is_exact():
            expected = "2Add 3Mul Reciprocal 2ReduceMean Sqrt Sub"  # where the runtime's kernel takes E[x^2] - E[x]^2
        assert " ".join(f"{count if count > 1 else ''}{op}" for op, count in ops.items()) == expected


@pytest.mark.parametrize("suffix", EXPORTS)
def test_names_and_order_are_those_of_the_model(suffix, tmp_path):
    model, path = two_in_two_out(), tmp_path / f"model{suffix}"
    EXPORTS[suffix](model, path)
    for runner in format_of(path).runners(path).values():
        assert [spec.name for spec in runner.inputs] == ["zeta", "alpha"]
        assert list(runner.outputs) == ["total", "logits"]
        assert [spec.shape for spec in runner.inputs] == [(None, 8, 8, 4), (None, 5)]


@pytest.mark.parametrize("suffix", EXPORTS)
def test_dict_structures_keep_their_keys(suffix, tmp_path):
    inputs = {"b": keras.Input((4,), name="b"), "a": keras.Input((4,), name="a")}
    x = keras.layers.Dense(3, name="inner")(inputs["b"])
    model = keras.Model(inputs, {"zulu": x, "echo": keras.layers.Subtract()([inputs["a"], inputs["b"]])})
    path = tmp_path / f"model{suffix}"
    EXPORTS[suffix](model, path)
    a, b = np.ones((2, 4), "float32"), np.full((2, 4), 3, "float32")
    runner = next(iter(format_of(path).runners(path).values()))
    got = runner.run({"a": a, "b": b})
    assert set(got) == {"zulu", "echo"}
    np.testing.assert_allclose(got["echo"], a - b)


def conv_norm(convolution, shape, norm=keras.layers.BatchNormalization):
    return randomize(keras.Sequential([keras.Input(shape, name="x"), convolution, norm(name="norm")]))


CONVOLUTIONS = {
    "grouped": lambda: conv_norm(keras.layers.Conv2D(8, 3, groups=4, padding="same"), (8, 8, 8)),
    "dilated": lambda: conv_norm(keras.layers.Conv2D(8, 3, dilation_rate=2, padding="same"), (9, 9, 4)),
    "1-D": lambda: conv_norm(keras.layers.Conv1D(8, 3, padding="causal"), (12, 4)),
    "3-D": lambda: conv_norm(keras.layers.Conv3D(4, 3, padding="same"), (6, 6, 6, 2)),
    "transposed": lambda: conv_norm(keras.layers.Conv2DTranspose(4, 3, 2, padding="same"), (6, 6, 4)),
    "transposed 1-D": lambda: conv_norm(keras.layers.Conv1DTranspose(4, 3, 2, padding="same"), (6, 4)),
    "separable": lambda: conv_norm(keras.layers.SeparableConv2D(6, 3), (8, 8, 4)),
    "depthwise": lambda: conv_norm(keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 4)),
    "dense over time": lambda: conv_norm(keras.layers.Dense(6), (7, 4)),
    "group norm over volumes": lambda: conv_norm(
        keras.layers.Conv3D(4, 3), (6, 6, 6, 2), lambda **kw: keras_norms.GroupNormalization(2, **kw)
    ),
    "group norm, axis 1": lambda: conv_norm(
        keras.layers.Conv1D(4, 3), (6, 4), lambda **kw: keras_norms.GroupNormalization(2, axis=1, **kw)
    ),
}


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_every_convolution(case, suffix, tmp_path):
    report = EXPORTS[suffix](CONVOLUTIONS[case](), tmp_path / f"model{suffix}")
    assert report.verification.relative < 2e-5


@pytest.mark.parametrize("suffix", EXPORTS)
def test_free_sizes_stay_free(suffix, tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    model = randomize(keras.Model(inputs, keras_norms.GroupNormalization(2, name="norm")(x)))
    path = tmp_path / f"model{suffix}"
    EXPORTS[suffix](model, path)
    for shape in ((1, 5, 9, 3), (2, 16, 4, 3)):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        np.testing.assert_allclose(outputs_of(path, x)["norm"], model(x), atol=2e-5)


def test_token_models_are_tried_on_valid_ids(tmp_path):
    inputs = keras.Input((6,), dtype="int32", name="ids")
    x = keras.layers.Embedding(5, 4)(inputs)
    model = randomize(keras.Model(inputs, keras_norms.LayerNormalization(name="norm")(x)))
    assert to_tflite(model, tmp_path / "m.tflite").verification.ok
    assert to_onnx(model, tmp_path / "m.onnx").verification.ok


@pytest.mark.parametrize("suffix", EXPORTS)
def test_a_masked_norm_keeps_its_mask(suffix, tmp_path):
    inputs = keras.Input((6,), dtype="int32", name="ids")
    x = keras.layers.Embedding(5, 4, mask_zero=True)(inputs)
    model = randomize(keras.Model(inputs, keras_norms.GroupNormalization(2, name="norm")(x)))
    path = tmp_path / f"model{suffix}"
    EXPORTS[suffix](model, path)
    ids = np.array([[1, 2, 3, 0, 0, 0], [4, 1, 0, 0, 0, 0]], "int32")
    np.testing.assert_allclose(outputs_of(path, ids)["norm"], model(ids), atol=2e-5)


class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = keras.layers.Conv2D(4, 3), keras_norms.GroupNormalization(2)

    def call(self, inputs):
        return self.norm(self.conv(inputs))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def call(self, inputs, training=None):
        return {"features": self.block(inputs)}


@pytest.mark.parametrize("suffix", EXPORTS)
def test_norms_inside_custom_layers_and_subclassed_models_are_lowered(suffix, tmp_path):
    model = Subclassed()
    model(np.zeros((2, 6, 6, 3), "float32"))
    randomize(model)
    call, path = model.block.norm.call, tmp_path / f"model{suffix}"
    report = EXPORTS[suffix](model, path, batch_size=1)
    assert not SHAPE_PLUMBING & set(report.ops)
    assert "its call was traced" in report.fold.notes[0]
    assert model.block.norm.call == call, "the model is as it was"
    assert verify(model, path).outputs["features"].relative < 2e-5


def test_onnx_opsets(tmp_path):
    from keras_norms.export.formats.onnx.runtime_abilities import newest_opset

    onnx = pytest.importorskip("onnx")
    model = image_net(NORMS["GroupNormalization"])
    for opset in (13, 17, newest_opset()):
        to_onnx(model, tmp_path / "m.onnx", opset=opset)
        assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset
    with pytest.raises(ExportError, match=r"opset must be an integer from 13 to \d+ .* got 12"):
        to_onnx(model, tmp_path / "m.onnx", opset=12)


def test_the_same_model_gives_the_same_bytes(exported, tmp_path):
    for suffix, export in EXPORTS.items():
        model, path, _ = exported("GroupNormalization", suffix)
        export(model, tmp_path / f"again{suffix}")
        assert path.read_bytes() == (tmp_path / f"again{suffix}").read_bytes()
