"""Transposes stand at the ends of an image network in an .onnx file, or nowhere."""

import json

import keras
import numpy as np
import onnx
import pytest
from keras_norms.export import to_onnx, verify
from keras_norms.export.formats.onnx import metadata
from models import NORMS, image_net, randomize
from onnx_files import chain, counted

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]

L = keras.layers


def unet(free=False):
    def block(x, channels):
        return L.ReLU()(L.GroupNormalization(4)(L.Conv2D(channels, 3, padding="same")(x)))

    inputs = keras.Input((None, None, 3) if free else (16, 16, 3), name="image")
    skip = block(inputs, 8)
    x = block(L.MaxPooling2D()(skip), 16)
    x = block(L.Concatenate()([L.Conv2DTranspose(8, 2, 2)(x), skip]), 8)
    x = x if free else L.UpSampling2D()(x)
    return randomize(keras.Model(inputs, L.Conv2D(2, 1, name="mask")(x)))


def convnext():
    x = inputs = keras.Input((16, 16, 3), name="image")
    x = L.LayerNormalization()(L.Conv2D(8, 4, 4)(x))
    for _ in range(2):
        y = L.LayerNormalization()(L.DepthwiseConv2D(3, padding="same")(x))
        x = L.Add()([x, L.Dense(8)(L.Dense(32, activation="gelu")(y))])
    return randomize(keras.Model(inputs, L.Dense(4, name="out")(L.GlobalAveragePooling2D()(x))))


def squeeze_and_excite():
    x = inputs = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(8, 3, 2, "same", activation="swish")(x)
    y = L.Dense(8, activation="sigmoid")(L.Dense(2, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x)))
    x = L.Conv2D(8, 3, padding="same")(L.ZeroPadding2D(1)(L.Multiply()([x, y])))
    return randomize(keras.Model(inputs, L.Softmax(name="out")(L.Cropping2D(1)(x))))


def excite_reshaped():
    x = inputs = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(8, 3, 2, "same", activation="hard_sigmoid")(x)
    y = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    y = L.Conv2D(8, 1, activation="hard_sigmoid")(L.Conv2D(2, 1, activation="relu")(y))
    x = L.Multiply()([x, y])
    return randomize(keras.Model(inputs, L.Dense(4, name="out")(L.GlobalAveragePooling2D()(x))))


def inception():
    x = inputs = keras.Input((12, 4), name="x")
    for _ in range(2):
        x = L.Concatenate()([L.Conv1D(8, n, padding="same", activation="relu")(x) for n in (1, 3, 5)])
    return randomize(keras.Model(inputs, L.Dense(2, name="y")(L.GlobalAveragePooling1D()(x))))


FLOWS = {
    "U-Net": (unet, 2),
    "U-Net, free sizes": (lambda: unet(free=True), 2),
    "ConvNeXt": (convnext, 1),
    "squeeze and excite": (squeeze_and_excite, 2),
    "group norm": (lambda: image_net(NORMS["keras GroupNormalization"]), 1),
    "volumes": (
        lambda: chain((6, 6, 6, 2), L.Conv3D(4, 3, padding="same"), L.GroupNormalization(2), L.Conv3D(2, 1)),
        2,
    ),
    "series": (
        lambda: chain((12, 4), L.Conv1D(8, 3, padding="causal"), L.GroupNormalization(2), L.ReLU(), L.Conv1D(2, 3)),
        2,
    ),
    "series, separable": (
        lambda: chain((12, 4), L.SeparableConv1D(8, 3), L.ReLU(), L.MaxPooling1D(), L.Conv1DTranspose(2, 3)),
        2,
    ),
    "series in parallel": (inception, 1),
    "series as images": (
        lambda: chain((12, 4), L.Conv1D(16, 3, padding="causal"), L.GroupNormalization(2), L.ReLU(), L.Conv1D(16, 3)),
        2,
    ),
    "squeeze, reshape and excite": (excite_reshaped, 1),
    "1x1 convolution, flattened": (
        lambda: chain((8, 8, 3), L.Conv2D(4, 3), L.GlobalAveragePooling2D(keepdims=True), L.Conv2D(2, 1), L.Flatten()),
        1,
    ),
}
IMAGES = {"series, separable", "series as images"}
SHAPE_ARITHMETIC = {"Cast", "Gather", "Squeeze", "Unsqueeze", "Expand", "Range"}


@pytest.mark.parametrize("case", FLOWS)
def test_transposes_stand_at_inputs_and_outputs_only(case, tmp_path):
    network, most = FLOWS[case]
    report = to_onnx(network(), tmp_path / "m.onnx")
    found = counted(tmp_path / "m.onnx")
    assert found["Transpose"] <= most
    turns = {kind: found.pop(kind) for kind in ("Unsqueeze", "Squeeze") if case in IMAGES and kind in found}
    assert turns == ({"Unsqueeze": 1, "Squeeze": 1} if case in IMAGES else {})
    assert not SHAPE_ARITHMETIC & set(found)
    assert ("Shape" in found) == ("free" in case)
    assert report.verification.ok


@pytest.mark.parametrize("mode", [None, "dynamic"])
def test_a_lone_group_norm_is_transposed_only_where_products_would_be_quantized(mode, tmp_path):
    to_onnx(chain((32, 32, 64), L.GroupNormalization(4), L.ReLU()), tmp_path / "m.onnx", quantize=mode)
    found = counted(tmp_path / "m.onnx")
    assert (found.get("Transpose", 0), found.get("MatMul", 0)) == ((0, 3) if mode is None else (2, 0))


def test_a_hard_sigmoid_is_one_operation(tmp_path):
    to_onnx(chain((8, 8, 3), L.Conv2D(4, 3), L.Activation("hard_silu")), tmp_path / "m.onnx", batch_size=1)
    assert counted(tmp_path / "m.onnx") == {"Transpose": 2, "Conv": 1, "HardSigmoid": 1, "Mul": 1}


@pytest.mark.parametrize("case", ["U-Net", "ConvNeXt", "volumes"])
def test_channels_first_inputs_and_outputs_need_no_transpose(case, tmp_path):
    model, path = FLOWS[case][0](), tmp_path / "m.onnx"
    report = to_onnx(model, path, layout="nchw", batch_size=1)
    assert "Transpose" not in counted(path)
    turned = json.loads(metadata.read_metadata(path)["keras_norms.channels_first"])
    assert report.warnings == (f"channels first, as layout='nchw' asks: {', '.join(turned)}",)
    image = onnx.load(path).graph.input[0]
    shape = tuple(size.dim_value for size in image.type.tensor_type.shape.dim)
    assert shape == (1, model.inputs[0].shape[-1], *model.inputs[0].shape[1:-1])
    assert verify(model, path, inputs=np.ones((1, *model.inputs[0].shape[1:]), "float32")).ok


def first_norm(norm):
    return lambda: chain((8, 6, 6), norm(axis=1), L.ReLU(), L.UpSampling2D(data_format="channels_first"))


ALREADY = {
    "group norm": first_norm(lambda axis: L.GroupNormalization(4, axis=axis)),
    "batch norm": first_norm(L.BatchNormalization),
    "pooled": lambda: chain((8, 6, 6), L.ReLU(), L.GlobalAveragePooling2D("channels_first"), L.Dense(2)),
    "cropped": lambda: chain((8, 6, 6), L.Cropping2D(1, data_format="channels_first"), L.Activation("tanh")),
    "convolution": lambda: chain(
        (3, 6, 6), L.GroupNormalization(3, axis=1), L.Conv2D(2, 3, data_format="channels_first")
    ),
}


@pytest.mark.parametrize("case", ALREADY)
def test_what_is_channels_first_already_stays(case, tmp_path):
    model = ALREADY[case]()
    report = to_onnx(model, tmp_path / "m.onnx", layout="nchw", batch_size=1)
    shape = onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape.dim
    assert tuple(size.dim_value for size in shape) == (1, *model.inputs[0].shape[1:])
    assert "keras_norms.channels_first" not in metadata.read_metadata(tmp_path / "m.onnx")
    assert not report.warnings


@pytest.mark.parametrize(("size", "pool"), [(28, {"GlobalAveragePool": 1, "Flatten": 1}), (30, {"ReduceMean": 1})])
def test_the_mean_over_a_small_image_is_a_pool(size, pool, tmp_path):
    model = chain((size, size, 3), L.Conv2D(4, 1), L.GlobalAveragePooling2D())
    to_onnx(model, tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx") == {"Transpose": 1, "Conv": 1, **pool}
