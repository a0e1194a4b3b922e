"""A broken artifact never passes, a right one does, and nothing is left behind when one fails."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export import ExportError, VerificationError, lowerings, to_onnx, to_tflite, verify
from keras_norms.export.worker.client import run_job
from models import NORMS, image_net, randomize, two_in_two_out

import keras_norms

onnx = pytest.importorskip("onnx")
pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here", "answers_kept")]


@pytest.fixture(scope="module")
def net():
    return image_net(NORMS["GroupNormalization"])


@pytest.fixture(scope="module")
def artifacts(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    to_tflite(net, folder / "net.tflite")
    to_onnx(net, folder / "net.onnx")
    return folder


def change_one_weight(source, target, by=0.2):
    """Move one number of the first convolution's weights, by about a deviation of them."""
    if source.suffix == ".onnx":
        model = onnx.load(source)
        tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.flat[5] += by
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, target)
    else:
        model = flatbuffer_utils.read_model(str(source))
        conv = next(
            t for t in model.subgraphs[0].tensors if len(t.shape) == 4 and model.buffers[t.buffer].data is not None
        )
        data = np.frombuffer(bytes(model.buffers[conv.buffer].data), "float32").copy()
        data[5] += by
        model.buffers[conv.buffer].data = np.frombuffer(data.tobytes(), "uint8")
        flatbuffer_utils.write_model(model, str(target))


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_one_changed_weight_is_found(net, artifacts, suffix, tmp_path):
    source, broken = artifacts / f"net{suffix}", tmp_path / f"broken{suffix}"
    assert verify(net, source).ok
    change_one_weight(source, broken, by=0.0)
    assert verify(net, broken).ok, "rewriting the file alone changes nothing"
    change_one_weight(source, broken)
    report = verify(net, broken)
    assert not report.ok
    assert "Output 'logits' differs from the model by" in report.failure()


def scaled_logits(factor, tiny=1.0):
    inputs = keras.Input((4,), name="x")
    dense = keras.layers.Dense(3, name="logits", kernel_initializer=keras.initializers.RandomNormal(seed=1))
    model = keras.Model(inputs, dense(inputs))
    dense.set_weights([w * factor * tiny for w in dense.get_weights()])
    return model


@pytest.mark.parametrize(("factor", "tiny"), [(1.001, 1.0), (1.1, 1e-9), (-1.0, 1.0)])
def test_a_scaled_output_is_found_also_where_all_outputs_are_tiny(factor, tiny, tmp_path):
    to_onnx(scaled_logits(factor, tiny), tmp_path / "m.onnx")
    assert verify(scaled_logits(factor, tiny), tmp_path / "m.onnx").ok
    assert not verify(scaled_logits(1.0, tiny), tmp_path / "m.onnx").ok


def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    kept, link = tmp_path / "store" / "m.onnx", tmp_path / "latest.onnx"
    kept.write_text("old")
    link.symlink_to(kept)
    to_onnx(scaled_logits(1.0), link)
    assert link.is_symlink()
    assert verify(scaled_logits(1.0), kept).ok


ODD_PATHS = {
    "none": (None, "path must be a string or a pathlib.Path; got NoneType"),
    "zero": ("m\0.onnx", "Cannot write 'm.x00.onnx': embedded null byte. Choose another name"),
    "long": ("m" * 300 + ".onnx", "File name too long"),
}


@pytest.mark.parametrize("case", ODD_PATHS)
def test_a_path_that_cannot_be_is_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, reason = ODD_PATHS[case]
    with pytest.raises(ExportError, match=reason):
        to_onnx(scaled_logits(1.0), path)


def test_a_converter_that_cannot_write_is_no_fault_of_its_own():
    with pytest.raises(ExportError, match="^The converter could not write its file: .*File name too long"):
        run_job("quantization.calibration:load_batches", path="x" * 300)


def test_inputs_to_verify_on_come_in_a_file_too(tmp_path):
    model = scaled_logits(1.0)
    to_onnx(model, tmp_path / "m.onnx")
    x = np.ones((2, 4), "float32")
    np.savez(tmp_path / "x.npz", x=x)
    for given in (tmp_path / "x.npz", str(tmp_path / "x.npz"), keras.ops.convert_to_tensor(x)):
        report = verify(model, tmp_path / "m.onnx", inputs=given)
        assert report.ok
        assert "given" in report.cases
    with pytest.raises(ExportError, match="There is no inputs file"):
        verify(model, tmp_path / "m.onnx", inputs="missing.npz")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_two_swapped_outputs_are_found(suffix, tmp_path):
    def model(swap):
        x = keras.Input((4,), name="x")
        a, b = keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b")
        net = randomize(keras.Model(x, [a(x), b(x)]))
        if swap:
            weights = a.get_weights()
            a.set_weights(b.get_weights())
            b.set_weights(weights)
        return net

    path = tmp_path / f"m{suffix}"
    (to_onnx if suffix == ".onnx" else to_tflite)(model(False), path)
    assert verify(model(False), path).ok
    assert not verify(model(True), path).ok


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_wrong_lowering_is_caught_located_and_leaves_the_old_file(suffix, net, tmp_path, monkeypatch):
    def wrong(layer, channels_first):
        right = lowerings.group_norm.lower(layer, channels_first)
        return (lambda x: right(x) * 1.01) if layer.name == "norm_1" else right

    rows = tuple((k, wrong if k is keras_norms.GroupNormalization else lower) for k, lower in lowerings.LOWERINGS)
    monkeypatch.setattr(lowerings, "LOWERINGS", rows)
    path = tmp_path / f"net{suffix}"
    path.write_text("what was there")
    with pytest.raises(VerificationError, match="was not written.*'logits'.*first layer that diverges is 'norm_1'"):
        (to_onnx if suffix == ".onnx" else to_tflite)(net, path)
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_the_inputs_that_break_norms_are_among_those_tried(net, artifacts):
    report = verify(net, artifacts / "net.onnx")
    tried = ["random, batch 1", "wide", "constant", "constant rows", "offset", "steps", "tiny variance", "zeros"]
    assert [record.case for record in report.inputs] == [*tried, "random, batch 3", "one infinity"]
    assert set(report.cases) >= {*tried, "random, batch 3", "one infinity"} - {"constant rows"}, report.skipped
    levels = ("optimized", "not optimized", "basic optimizations", "extended optimizations")
    assert {check.runtime for check in report.checks} == {f"ONNX Runtime, {level}" for level in levels}


def test_a_fault_that_only_the_users_inputs_show(tmp_path):
    """An artifact that is right but for inputs nobody would draw: the user's own data finds it."""

    def model(threshold):
        x = keras.Input((4,), name="x")
        return keras.Model(x, keras.layers.ReLU(max_value=threshold, name="y")(x))

    to_onnx(model(1e6), tmp_path / "m.onnx")
    assert verify(model(1e8), tmp_path / "m.onnx").ok
    report = verify(model(1e8), tmp_path / "m.onnx", inputs=np.full((2, 4), 1e7, "float32"))
    assert not report.ok
    assert "on given input" in report.failure()


def test_a_chaotic_model_is_not_blamed_on_the_artifact_but_never_passes_unseen(tmp_path):
    def wild(function):
        x = keras.Input((4,), name="x")
        return keras.Model(x, keras.layers.Lambda(lambda t: keras.ops.sin(function(t) * 1e9), name="y")(x))

    with pytest.raises(
        VerificationError, match="inconclusive: .*rounding alone moves the model's own output by .* Give inputs= "
    ):
        to_onnx(wild(keras.ops.tanh), tmp_path / "m.onnx")  # no two runtimes round tanh alike
    # A file that nevertheless says the same has nothing to be excused.
    assert to_onnx(wild(lambda t: t), tmp_path / "m.onnx").verification.ok


BAD_INPUTS = {
    "rank": (np.zeros((12, 12, 3), "float32"), r"shape \[None, 12, 12, 3\].*got \[12, 12, 3\]"),
    "size": (np.zeros((1, 12, 11, 3), "float32"), r"got \[1, 12, 11, 3\]"),
    "dtype": (np.array([["a"]]), "shape|float32"),
    "name": ({"picture": np.zeros((1, 12, 12, 3), "float32")}, r"inputs \['image'\]; got \['picture'\]"),
    "empty": (np.zeros((0, 12, 12, 3), "float32"), "at least one example"),
    "nothing": ([], "at least one example"),
    "number": (3, "must be an array"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused(case, net, artifacts):
    inputs, message = BAD_INPUTS[case]
    with pytest.raises(ExportError, match=message):
        verify(net, artifacts / "net.onnx", inputs=inputs)


def test_inputs_in_every_shape_they_come_in(net, artifacts):
    batch = np.zeros((2, 12, 12, 3), "float32")
    for inputs in (batch, [batch], {"image": batch}, iter([batch, batch[:1]]), [{"image": batch}]):
        assert verify(net, artifacts / "net.onnx", inputs=inputs).ok
    assert verify(net, artifacts / "net.onnx", inputs=batch.astype("uint8")).ok


def test_an_artifact_of_another_model_is_refused(net, artifacts):
    with pytest.raises(ExportError, match="artifact of another model"):
        verify(two_in_two_out(), artifacts / "net.onnx")
    with pytest.raises(
        ExportError, match=r"takes image\[None, 12, 12, 3\] float32, the model takes image\[None, 9, 9, 3\]"
    ):
        verify(image_net(NORMS["GroupNormalization"], size=9), artifacts / "net.onnx")
    with pytest.raises(ExportError, match="There is no artifact"):
        verify(net, artifacts / "none.onnx")


@pytest.mark.usefixtures("read_apart")
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_damaged_artifact_is_refused(suffix, net, artifacts, tmp_path):
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", (artifacts / f"net{suffix}").read_bytes()[:700])):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises((ExportError, VerificationError), match=r"can run|does not run"):
            verify(net, path)


def test_an_exact_output_is_strict_json(tmp_path):
    x = keras.Input((4,), name="x")
    report = to_onnx(keras.Model(x, keras.layers.ReLU(name="y")(x)), tmp_path / "m.onnx")
    assert report.verification.outputs["y"].sqnr_db == float("inf")
    assert json.loads(report.to_json())["verification"]["outputs"]["y"]["sqnr_db"] is None
    assert "Infinity" not in report.verification.to_json()


def test_the_tolerance_is_checked(net, tmp_path):
    for tolerance in (0, -1, 2, True, "small"):
        with pytest.raises(ExportError, match="tolerance must be a share"):
            to_onnx(net, tmp_path / "m.onnx", tolerance=tolerance)
