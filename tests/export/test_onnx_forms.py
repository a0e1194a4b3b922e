"""What an .onnx file is made of: the form of each norm at each opset, one layout, no shape arithmetic, its weights."""

import json
from collections import Counter

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, VerificationError, to_onnx, verify
from keras_norms.export.targets import onnx as target
from models import NORMS, image_net, randomize

import keras_norms

onnx = pytest.importorskip("onnx")
L = keras.layers


def chain(shape, *layers, batch=None):
    x = inputs = keras.Input(shape, batch_size=batch, name="x")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(inputs, x))


def counted(path):
    return dict(Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node))


def opset_of(path):
    return onnx.load(path, load_external_data=False).opset_import[0].version


FUSABLE_RMS = {"Pow": 1, "ReduceMean": 1, "Add": 1, "Sqrt": 1, "Div": 1, "Mul": 1}
GROUPS = {"Reshape": 2, "Slice": 1, "Sub": 1, "InstanceNormalization": 1, "BatchNormalization": 1}
# norm, options, what the file holds beside transposes, its opset
FORMS = {
    "layer": (keras_norms.LayerNormalization, {}, {"LayerNormalization": 1}, 18),
    "layer, stock": (L.LayerNormalization, {}, {"LayerNormalization": 1}, 18),
    "layer, old opset": (
        L.LayerNormalization,
        {"opset": 16},
        {"ReduceMean": 2, "Sub": 1, "Pow": 1, "Add": 2, "Sqrt": 1, "Div": 1, "Mul": 1},
        16,
    ),
    "layer, no gamma, no beta": (
        lambda: L.LayerNormalization(scale=False, center=False),
        {},
        {"LayerNormalization": 1},
        18,
    ),
    "layer, two axes": (lambda: L.LayerNormalization(axis=[-2, -1]), {}, {"LayerNormalization": 1}, 18),
    "rms": (L.RMSNormalization, {}, FUSABLE_RMS, 18),
    "rms, new opset": (L.RMSNormalization, {"opset": 23}, {"RMSNormalization": 1}, 23),
    "rms, standard": (L.RMSNormalization, {"norms": "standard"}, {"RMSNormalization": 1}, 23),
    "group": (lambda: keras_norms.GroupNormalization(4), {}, GROUPS, 18),
    "group, oldest opset": (lambda: L.GroupNormalization(4), {"opset": 13}, GROUPS, 13),
    "group, standard": (
        lambda: L.GroupNormalization(4),
        {"norms": "standard"},
        {"Reshape": 2, "Slice": 1, "Sub": 1, "GroupNormalization": 1},
        21,
    ),
    "group, no beta": (
        lambda: L.GroupNormalization(4, center=False),
        {},
        {"Reshape": 2, "Slice": 1, "Sub": 1, "InstanceNormalization": 1, "Mul": 1},
        18,
    ),
    "instance": (keras_norms.InstanceNormalization, {}, {"Slice": 1, "Sub": 1, "InstanceNormalization": 1}, 18),
    "instance, standard": (keras_norms.InstanceNormalization, {"norms": "standard"}, {"InstanceNormalization": 1}, 18),
}


@pytest.mark.parametrize("case", FORMS)
def test_each_norm_takes_its_form(case, tmp_path):
    norm, options, expected, opset = FORMS[case]
    report = to_onnx(chain((6, 6, 8), norm()), tmp_path / "m.onnx", **options)
    found = counted(tmp_path / "m.onnx")
    assert found.pop("Transpose", 0) == (2 if "group" in case or "instance" in case else 0)
    if case.startswith("layer") and not target.layer_norm_is_exact():
        # An older runtime's kernel takes E[x^2] - E[x]^2: neither the operator, nor what that runtime would make it of.
        assert not {"LayerNormalization", "Pow"} & found.keys()
    else:
        assert found == expected
    assert opset_of(tmp_path / "m.onnx") == opset
    runtimes = {check.runtime for check in report.verification.checks}
    assert ("ONNX's reference evaluator" in runtimes) == (opset > 13 and "GroupNormalization" not in expected)
    assert len(runtimes - {"ONNX's reference evaluator"}) == 4, "each level of optimization"


def test_what_an_opset_does_not_have_is_refused(tmp_path):
    group = chain((6, 6, 8), L.GroupNormalization(4, name="norm"))
    with pytest.raises(
        ExportError, match=r"needs GroupNormalization, of opset 21, for '.*norm.*'; got opset=20.*Raise opset"
    ):
        to_onnx(group, tmp_path / "m.onnx", norms="standard", opset=20)
    for options, message in (
        ({"norms": "best"}, "norms must be one of 'fast', 'standard'; got 'best'"),
        ({"layout": "nhwc"}, "layout must be one of 'keras', 'nchw'; got 'nhwc'"),
    ):
        with pytest.raises(ExportError, match=message):
            to_onnx(group, tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


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
}
SHAPE_ARITHMETIC = {"Cast", "Gather", "Squeeze", "Unsqueeze", "Expand", "Range"}


@pytest.mark.parametrize("case", FLOWS)
def test_transposes_stand_at_inputs_and_outputs_only(case, tmp_path):
    network, most = FLOWS[case]
    report = to_onnx(network(), tmp_path / "m.onnx")
    found = counted(tmp_path / "m.onnx")
    assert found["Transpose"] <= most
    assert not SHAPE_ARITHMETIC & set(found)
    assert ("Shape" in found) == ("free" in case)
    assert report.verification.ok


@pytest.mark.parametrize("case", ["U-Net", "ConvNeXt", "volumes"])
def test_channels_first_inputs_and_outputs_need_no_transpose(case, tmp_path):
    model, path = FLOWS[case][0](), tmp_path / "m.onnx"
    report = to_onnx(model, path, layout="nchw", batch_size=1)
    assert "Transpose" not in counted(path)
    turned = json.loads(target.read_metadata(path)["keras_norms.channels_first"])
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
    assert "keras_norms.channels_first" not in target.read_metadata(tmp_path / "m.onnx")
    assert not report.warnings


@pytest.mark.parametrize(("size", "pool"), [(28, {"GlobalAveragePool": 1, "Flatten": 1}), (30, {"ReduceMean": 1})])
def test_the_mean_over_a_small_image_is_a_pool(size, pool, tmp_path):
    model = chain((size, size, 3), L.Conv2D(4, 1), L.GlobalAveragePooling2D())
    to_onnx(model, tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx") == {"Transpose": 1, "Conv": 1, **pool}


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_recurrent_layers_are_operators_at_any_batch(batch, tmp_path):
    model = chain((5, 4), L.LSTM(8, return_sequences=True), L.Bidirectional(L.LSTM(3)))
    to_onnx(model, tmp_path / "m.onnx", batch_size=batch)
    found = counted(tmp_path / "m.onnx")
    assert found["LSTM"] == 2, "two directions are one operator"
    assert not {"Loop", "Shape", "Expand"} & set(found)


@pytest.mark.parametrize("batch", [None, 1, 2])
@pytest.mark.parametrize("options", [{}, {"reset_after": False}, {"use_bias": False}], ids=str)
def test_a_gru_is_one_operator_too(options, batch, tmp_path):
    gru = lambda units, **more: L.GRU(units, **options, **more)  # noqa: E731
    model = chain((5, 4), gru(8, return_sequences=True), L.Bidirectional(gru(3)))
    to_onnx(model, tmp_path / "m.onnx", batch_size=batch)
    found = counted(tmp_path / "m.onnx")
    assert found["GRU"] == 3
    assert "Loop" not in found


def test_a_gru_gives_its_state_and_takes_one(tmp_path):
    x, first = keras.Input((5, 4), name="x"), keras.Input((6,), name="first")
    y, last = L.GRU(6, return_sequences=True, return_state=True, activation="relu")(x, initial_state=first)
    to_onnx(randomize(keras.Model([x, first], [y, last])), tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["GRU"] == 1


@pytest.mark.parametrize("options", [{"recurrent_activation": "hard_sigmoid"}, {"activation": "elu"}], ids=str)
def test_a_gru_that_the_operator_is_not_stays_a_loop(options, tmp_path):
    to_onnx(chain((5, 4), L.GRU(3, **options)), tmp_path / "m.onnx")
    assert "GRU" not in counted(tmp_path / "m.onnx")


def test_attention_is_four_products_and_no_regrouping(tmp_path):
    x = keras.Input((6, 8), name="x")
    model = randomize(keras.Model(x, L.MultiHeadAttention(2, 4, name="attention")(x, x)))
    to_onnx(model, tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx") == {"MatMul": 6, "Add": 4, "Mul": 1, "Reshape": 4, "Transpose": 4, "Softmax": 1}


def test_exact_gelu_is_one_operator_where_there_is_one(tmp_path):
    model = chain((6,), L.Dense(5, activation="gelu"))
    to_onnx(model, tmp_path / "m.onnx", opset=20)
    assert counted(tmp_path / "m.onnx") == {"MatMul": 1, "Add": 1, "Gelu": 1}
    to_onnx(model, tmp_path / "m.onnx", opset=19)
    assert counted(tmp_path / "m.onnx") == {"MatMul": 1, "Add": 2, "Div": 1, "Erf": 1, "Mul": 2}


def test_one_tensor_may_be_two_outputs_and_an_input_too(tmp_path):
    x = keras.Input((4, 4, 3), name="x")
    y = L.Conv2D(2, 3, padding="same", name="y")(x)
    model = randomize(keras.Model(x, [y, y, L.Identity(name="same")(x), L.ReLU(name="z")(y)]))
    report = to_onnx(model, tmp_path / "m.onnx")
    assert list(report.verification.outputs) == ["y", "y_1", "same", "z"]


# Hostile inputs


def outputs(path, x):
    for name, runner in target.runners(path).items():
        yield name, next(iter(runner.run({"x": x}).values()))


def test_layer_norm_of_rows_far_from_zero_is_exact(tmp_path):
    model = chain((4,), keras_norms.LayerNormalization(epsilon=1e-6, scale=False, center=False))
    for opset in (16, 18):
        to_onnx(model, tmp_path / "m.onnx", opset=opset)
        for runtime, y in outputs(tmp_path / "m.onnx", np.array([[40000, 40001, 40002, 40003]], "float32")):
            np.testing.assert_allclose(y[0], np.array([-3, -1, 1, 3]) / np.sqrt(5), atol=1e-5, err_msg=runtime)


@pytest.mark.parametrize("norm", [lambda: keras_norms.GroupNormalization(2), keras_norms.InstanceNormalization])
def test_groups_far_from_zero_constant_or_infinite(norm, tmp_path):
    model, path = chain((16, 16, 4), norm()), tmp_path / "m.onnx"
    to_onnx(model, path)
    layer = model.layers[-1]
    gamma, beta = (keras.ops.convert_to_numpy(w).astype("float64") for w in (layer.gamma, layer.beta))
    rng = np.random.default_rng(0)
    x = (40_000 + rng.integers(0, 4, (2, 16, 16, 4))).astype("float32")
    x[1] = 1234.0
    grouped = x.astype("float64").reshape(2, 256, getattr(layer, "groups", 4), -1)
    mean, variance = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + layer.epsilon)).reshape(x.shape) * gamma + beta
    hurt = x.copy()
    hurt[0, 3, 3, 0] = np.inf
    whole = slice(2, None) if hasattr(layer, "groups") else slice(1, None)
    for runtime, y in outputs(path, x):
        if "reference" not in runtime:  # which sums up in float32 too
            np.testing.assert_allclose(y, expected, atol=2e-5, err_msg=runtime)
    for runtime, y in outputs(path, hurt):
        if "reference" not in runtime:
            np.testing.assert_allclose(y[0, ..., whole], expected[0, ..., whole], atol=2e-5, err_msg=runtime)
            np.testing.assert_allclose(y[1], expected[1], atol=2e-5, err_msg=runtime)


# Weights beside the file


@pytest.fixture
def beside(monkeypatch, tmp_path):
    monkeypatch.setattr(target, "DATA_ABOVE", 1_000)
    return tmp_path / "model.onnx"


def test_large_weights_lie_beside_the_file(beside, tmp_path):
    model = image_net(NORMS["GroupNormalization"], channels=16)
    report = to_onnx(model, beside)
    data = tmp_path / "model.onnx.data"
    assert sorted(tmp_path.iterdir()) == [beside, data]
    assert data.stat().st_size > 1_000
    assert report.size_bytes == beside.stat().st_size + data.stat().st_size
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved, kept = elsewhere / beside.name, data.read_bytes()
    beside.replace(moved)
    with pytest.raises(ExportError, match=r"keeps its weights in 'model.onnx.data', which is not beside it. Move both"):
        verify(model, moved)
    data.replace(elsewhere / data.name)
    assert verify(model, moved).ok
    (elsewhere / data.name).write_bytes(kept[:8] + bytes([kept[8] ^ 1]) + kept[9:])
    with pytest.raises(
        VerificationError, match=r"model.onnx.data' is not the file that 'model.onnx' was verified with"
    ):
        verify(model, moved)


def test_recurrent_and_dense_weights_may_lie_beside_the_file(beside, tmp_path):
    model = chain((5, 4), L.LSTM(8), L.Dense(64, activation="gelu"), L.Dense(4))
    assert to_onnx(model, beside).verification.relative < 2e-5
    assert counted(beside)["LSTM"] == 1
    with pytest.raises(ExportError, match="quantize"):
        to_onnx(model, tmp_path / "q.onnx", quantize="dynamic")


def test_a_failed_export_leaves_the_old_pair(beside, tmp_path, monkeypatch):
    model = image_net(NORMS["GroupNormalization"], channels=16)
    to_onnx(model, beside)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(target, "runners", lambda path: (_ for _ in ()).throw(ExportError("stop here")))
    with pytest.raises(ExportError, match="stop here"):
        to_onnx(randomize(model, seed=1), beside)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
