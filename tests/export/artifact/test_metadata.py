"""What an artifact says about itself, read back by those who would read it."""

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export import ExportError, to_onnx, to_tflite, verify
from keras_norms.export.artifact.hashes import model_sha256
from models import NORMS, image_net, two_in_two_out

import keras_norms  # noqa: F401

onnxruntime = pytest.importorskip("onnxruntime")

LABELS = ["cat", "dog", "bird", "fïsh"]


@pytest.fixture(scope="module")
def net():
    return image_net(NORMS["BatchNormalization"])


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    to_tflite(net, folder / "net.tflite", labels=LABELS)
    to_onnx(net, folder / "net.onnx", labels=LABELS)
    return folder


def read(path):
    """By someone else's code: ONNX Runtime's session, or the schema that LiteRT ships."""
    if path.suffix == ".onnx":
        return onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    model = flatbuffer_utils.read_model(str(path))
    (entry,) = (entry for entry in model.metadata if entry.name == b"keras_norms")
    assert model.description == b"image_net, exported by keras-norms"
    return json.loads(bytes(model.buffers[entry.buffer].data))


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_consumer_reads_it_back(suffix, net, files):
    found = read(files / f"net{suffix}")
    assert found["name"] == "image_net"
    assert json.loads(found["labels"]) == LABELS
    assert found["keras_norms.norms_folded"] == "2"
    assert found["keras_norms.model_sha256"] == model_sha256(net)
    assert {"keras", "keras-norms", "tensorflow"} <= set(json.loads(found["keras_norms.versions"]))
    assert verify(net, files / f"net{suffix}").metadata == found


@pytest.mark.runtime
@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_the_interpreter_does_not_mind(resolver, files):
    interpreter = Interpreter(str(files / "net.tflite"), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_output_details()[0]["name"] == "logits"


@pytest.mark.runtime
def test_labels_by_output(tmp_path):
    model = two_in_two_out()
    sizes = {"total": [f"t{i}" for i in range(8)], "logits": ["a", "b", "c"]}
    report = to_onnx(model, tmp_path / "m.onnx", labels=sizes)
    assert json.loads(report.verification.metadata["labels"]) == sizes


BAD_LABELS = {
    "too few": (["a", "b"], "as many as its last dimension, 4; got 2"),
    "a string": ("abcd", "must be a list of strings"),
    "numbers": ([1, 2, 3, 4], "must be strings"),
    "another output": ({"other": ["a"]}, r"for the model's outputs \['logits'\]; got 'other'"),
}


@pytest.mark.runtime
@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_do_not_fit_are_refused(case, net, tmp_path):
    labels, message = BAD_LABELS[case]
    with pytest.raises(ExportError, match=message):
        to_onnx(net, tmp_path / "m.onnx", labels=labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.runtime
def test_one_list_for_two_outputs_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"must say which output they are for: the model has \['total', 'logits'\]"):
        to_onnx(two_in_two_out(), tmp_path / "m.onnx", labels=["a"])


def test_the_hash_tells_models_apart_and_survives_saving(net, tmp_path):
    import keras

    net.save(tmp_path / "net.keras")
    assert model_sha256(keras.models.load_model(tmp_path / "net.keras")) == model_sha256(net)
    other = image_net(NORMS["BatchNormalization"])
    assert model_sha256(other) == model_sha256(net)
    weights = other.get_weights()
    weights[0].flat[0] = np.nextafter(weights[0].flat[0], np.float32(9))
    other.set_weights(weights)
    assert model_sha256(other) != model_sha256(net)
