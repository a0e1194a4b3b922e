"""SavedModels: those of Keras 2 read as data, signatures as models, and programs that may do more than compute."""

import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export import ExportError, load, to_onnx, to_tflite
from keras_norms.export.loading.crc32c import masked_crc32c
from keras_norms.export.loading.protobuf_wire import fields, message_of, varint

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")


def saved(folder, model):
    model.save(folder / "saved", save_format="tf")
    return folder / "saved"


def small():
    model = tk.Sequential([tk.Input((5,)), tk.layers.Dense(3), tk.layers.BatchNormalization(), tk.layers.Dense(2)])
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


X = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")


@pytest.fixture(scope="module")
def of_keras(tmp_path_factory):
    model = small()
    return saved(tmp_path_factory.mktemp("keras"), model), model(X, training=False).numpy()


class Tools(tf.Module):
    """A module of TensorFlow, without Keras."""

    def __init__(self):
        self.kernel = tf.Variable(np.random.default_rng(0).normal(size=(5, 2)).astype("float32"))

    @tf.function(input_signature=[tf.TensorSpec((None, 5), name="rows")])
    def project(self, rows):
        return {"projected/rows": tf.matmul(rows, self.kernel), "norm": tf.norm(rows, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None, 5), name="a"), tf.TensorSpec((None, 5), name="b")])
    def add(self, a, b):
        return {"sum": a + b}


@pytest.fixture(scope="module")
def of_tensorflow(tmp_path_factory):
    tools, folder = Tools(), tmp_path_factory.mktemp("tools")
    tf.saved_model.save(tools, folder, signatures={"project": tools.project, "add": tools.add})
    return folder, tools


def test_a_folder_a_file_in_it_and_a_zip_file_of_it_are_the_same(of_keras, tmp_path):
    folder, want = of_keras
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, f"inside/{file.relative_to(folder)}")
    for path in (folder, folder / "saved_model.pb", folder / "keras_metadata.pb", tmp_path / "m.zip"):
        np.testing.assert_allclose(load(path, prove=False).model(X), want, rtol=1e-5)


def test_nothing_of_tensorflow_runs_to_read_the_layers(of_keras, monkeypatch):
    monkeypatch.setattr(tf.saved_model, "load", None)
    folder, want = of_keras
    np.testing.assert_allclose(load(str(folder), prove=False).model(X), want, rtol=1e-5)


def test_metadata_stood_in_the_graph_up_to_tensorflow_2_4(of_keras, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2
    from tf_keras.protobuf import saved_metadata_pb2

    folder, want = copied(of_keras[0], tmp_path), of_keras[1]
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    metadata = saved_metadata_pb2.SavedMetadata.FromString((folder / "keras_metadata.pb").read_bytes())
    for node in metadata.nodes:
        user_object = graph.meta_graphs[0].object_graph_def.nodes[node.node_id].user_object
        user_object.identifier, user_object.metadata = node.identifier, node.metadata
    (folder / "saved_model.pb").write_bytes(graph.SerializeToString())
    (folder / "keras_metadata.pb").unlink()
    np.testing.assert_allclose(load(folder, prove=False).model(X), want, rtol=1e-5)


def copied(folder, to):
    return Path(shutil.copytree(folder, to / "copy"))


@pytest.mark.runtime
def test_tf_keras_proves_what_was_read(of_keras):
    report = load(of_keras[0]).report
    assert report.oracle == f"tf_keras {tk.__version__}"
    assert report.error <= 1e-5


@pytest.mark.parametrize("part", range(0, 20, 3))
@pytest.mark.parametrize("file", ["saved_model.pb", "keras_metadata.pb", "variables/variables.index"])
def test_truncated_parts_are_refused_in_one_line(file, part, of_keras, tmp_path):
    folder = copied(of_keras[0], tmp_path)
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) * part // 20])
    if file == "keras_metadata.pb" and part == 0:
        (folder / file).unlink()  # nothing of Keras is left: a SavedModel of TensorFlow alone
        assert load(folder).report.writer.startswith("TensorFlow")
        return
    with pytest.raises(ExportError) as caught:
        load(folder, prove=False)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_weights_are_named(of_keras, tmp_path):
    folder = copied(of_keras[0], tmp_path)
    data = folder / "variables/variables.data-00000-of-00001"
    whole = data.read_bytes()
    for left in (len(whole) - 1, 40, 0):  # the object graph is the last there
        data.write_bytes(whole[:left])
        with pytest.raises(ExportError, match="variables.data-00000-of-00001' does not hold all of"):
            load(folder, prove=False)
    (folder / "variables/variables.index").unlink()
    with pytest.raises(ExportError, match="no 'variables/variables.index', where its weights are listed"):
        load(folder, prove=False)


def test_a_signature_is_a_model_of_the_same_names(of_tensorflow):
    folder, tools = of_tensorflow
    model, report = load(folder, signature="project")
    want = tools.project(X)
    got = model({"rows": X})
    assert set(got) == set(want) == {"projected/rows", "norm"}
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
    assert report.writer == f"TensorFlow {tf.__version__}"
    assert "the signature 'project' itself" in report.proof
    np.testing.assert_array_equal(load(folder, signature="add").model({"a": X, "b": X})["sum"], X + X)


def test_which_signature_must_be_said_where_there_are_several(of_tensorflow, of_keras, tmp_path):
    with pytest.raises(ExportError, match=r"several signatures, add, project: say which, signature= \(--signature"):
        load(of_tensorflow[0])
    with pytest.raises(ExportError, match="has no signature 'spam'; it has add, project"):
        load(of_tensorflow[0], signature="spam")
    usual = load(of_keras[0], signature="serving_default").model
    (got,) = usual({usual.inputs[0].name: X}).values()
    np.testing.assert_allclose(got, of_keras[1], rtol=1e-5)
    keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(ExportError, match="has no signatures: only a SavedModel has"):
        load(tmp_path / "m.keras", signature="serve")


def test_what_keras_3_exports_is_a_signature(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    model.export(tmp_path / "exported", verbose=False)
    loaded = load(tmp_path / "exported").model
    (got,) = loaded({loaded.inputs[0].name: X}).values()
    np.testing.assert_allclose(got, model(X), rtol=1e-6)
    with pytest.raises(ExportError, match="which no file of Keras holds"):
        loaded.save(tmp_path / "m.keras")


class Rankless(tf.Module):
    """A function of TensorFlow that does not know the rank of what it makes."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5), name="rows"), tf.TensorSpec((2,), tf.int32, name="shape")])
    def reshape(self, rows, shape):
        return {"y": tf.compat.v1.placeholder_with_default(rows * 2.0, None), "n": tf.shape(rows)[0]}


def test_outputs_of_unknown_rank_are_of_the_rank_that_they_show(tmp_path):
    module = Rankless()
    tf.saved_model.save(module, tmp_path, signatures={"serve": module.reshape})
    assert tf.saved_model.load(str(tmp_path)).signatures["serve"].structured_outputs["y"].shape.rank is None
    model = load(tmp_path).model
    assert model.output["y"].shape == (None, 5)
    np.testing.assert_array_equal(model({"rows": X, "shape": np.int32([1, 2])})["y"], X * 2)


@pytest.mark.runtime
def test_signatures_are_exported_and_verified_by_the_command(of_tensorflow, tmp_path):
    from keras_norms_cli.commands import cli

    folder, lite, onnx = str(of_tensorflow[0]), str(tmp_path / "m.tflite"), str(tmp_path / "m.onnx")
    result = CliRunner().invoke(cli, ["export", folder, lite, onnx, "--signature", "add"])
    assert result.exit_code == 0, result.output
    assert "nothing was folded: the model is a signature of a SavedModel" in result.output
    result = CliRunner().invoke(cli, ["verify", folder, onnx, "--signature", "add"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["verify", folder, onnx, "--signature", "project"])
    assert result.exit_code == 1, result.output
    for refused in (["upgrade", folder, str(tmp_path / "m.keras")], ["export", folder, lite]):
        result = CliRunner().invoke(cli, refused)
        assert result.exit_code == 1
        assert "several signatures" in result.output


@pytest.mark.runtime
def test_names_with_a_slash_are_kept_in_both_formats(of_tensorflow, tmp_path):
    model = load(of_tensorflow[0], signature="project").model
    for report in (to_tflite(model, tmp_path / "m.tflite"), to_onnx(model, tmp_path / "m.onnx")):
        assert set(report.verification.outputs) == {"projected/rows", "norm"}


def test_a_class_that_is_missing_leaves_the_signature(tmp_path):
    """As in basic-pitch 0.4."""

    class Own(tk.layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    folder = saved(tmp_path, tk.Sequential([tk.Input((5,), name="x"), Own()]))
    with pytest.raises(
        ExportError, match=r"it uses 'Own', which is not registered.* as it is: signature= \(--signature"
    ):
        load(folder)
    (got,) = load(folder, signature="serving_default").model({"x": X}).values()
    np.testing.assert_array_equal(got, X * 2)


def test_zip_files_that_write_elsewhere_or_fill_the_disk_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("saved_model.pb", b"\x08\x01")
        archive.writestr("../outside.txt", b"spam")
    with pytest.raises(ExportError, match=r"holds a path out of its folder, '\.\./outside.txt'"):
        load(tmp_path / "up.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved_model.pb", b"\x08\x01")
        archive.writestr("variables/variables.data-00000-of-00001", bytes(50_000_000))
    with pytest.raises(ExportError, match="it unpacks to 50,000,002 bytes, more than weights do"):
        load(tmp_path / "bomb.zip")
    assert not (tmp_path.parent / "outside.txt").exists()


def test_damaged_messages_are_refused():
    with pytest.raises(ExportError, match="a number in it has no end"):
        varint(memoryview(b"\xff\xff"), 0)
    with pytest.raises(ExportError, match="a field in it is longer than the file"):
        list(fields(memoryview(b"\x0a\x05ab")))
    assert list(fields(memoryview(b"\x08\x96\x01\x12\x02ab"))) == [(1, 150), (2, b"ab")]


def test_the_parts_of_a_message_are_joined():
    joined = message_of(memoryview(b"\x0a\x02\x08\x01\x0a\x02\x10\x02"), 1)
    assert list(fields(joined)) == [(1, 1), (2, 2)]
    with pytest.raises(ExportError, match="a number stands where a message should"):
        message_of(memoryview(b"\x08\x01"), 1)


@pytest.mark.parametrize("part", ["weight", "owners", "list"])
def test_a_bit_that_changed_is_found(part, of_keras, tmp_path):
    folder = copied(of_keras[0], tmp_path)
    file = folder / ("variables/variables.index" if part == "list" else "variables/variables.data-00000-of-00001")
    data = bytearray(file.read_bytes())
    data[{"weight": 3, "owners": len(data) - 40, "list": 40}[part]] ^= 4
    file.write_bytes(data)
    with pytest.raises(ExportError, match="it is damaged: the checksum of"):
        load(folder, prove=False)


def test_checksums_are_those_of_crc32c():
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    data = np.random.default_rng(0).integers(0, 256, 4_300_001, dtype=np.uint8).tobytes()
    known = [(0, 0xA282EAD8), (1023, None), (1024, None), (1025, None), (300_000, None), (len(data), None)]
    for size, want in known:
        whole = masked_crc32c(data[:size])
        assert want in (None, whole)
        assert whole == masked_crc32c(*(data[at : min(at + 700, size)] for at in range(0, size, 700)))  # byte by byte
