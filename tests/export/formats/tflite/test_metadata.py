"""TFLite Metadata in exported files, read by the schema's slots and as a zip archive, and LiteRT on the same files."""

import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers import encode, number_types, packer, util
from flatbuffers.table import Table
from keras_norms.export import ExportError, to_tflite, verify
from keras_norms.export.artifact.hashes import model_sha256
from keras_norms.export.formats.tflite.metadata import read_metadata, write_metadata
from models import NORMS, image_net, two_in_two_out

pytestmark = pytest.mark.runtime

# Offsets in the tables of metadata_schema.fbs, as its generated readers have them: 4 and 2 for each field before.
MODEL = {"name": 4, "description": 6, "version": 8, "subgraph_metadata": 10, "min_parser_version": 18}
SUBGRAPH = {"input_tensor_metadata": 8, "output_tensor_metadata": 10}
TENSOR = {"name": 4, "content": 10, "associated_files": 16}
CONTENT = {"content_properties_type": 4, "content_properties": 6}
FILE = {"name": 4, "description": 6, "type": 8}

LABELS = ["cat", "dog", "bird", "fïsh"]


def text(table, slot):
    return table.String(table.Offset(slot) + table.Pos).decode()


def byte(table, slot):
    return table.Get(number_types.Uint8Flags, table.Offset(slot) + table.Pos)


def below(table, slot):
    return Table(table.Bytes, table.Indirect(table.Offset(slot) + table.Pos))


def rows(table, slot):
    offset = table.Offset(slot)
    start, count = (table.Vector(offset), table.VectorLen(offset)) if offset else (0, 0)
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]


def standard(path):
    model = flatbuffer_utils.read_model(str(path))
    (entry,) = (entry for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    content = bytes(model.buffers[entry.buffer].data)
    assert util.GetBufferIdentifier(content, 0) == b"M001"
    return Table(content, encode.Get(packer.uoffset, content, 0))


def tensors(path, way):
    (subgraph,) = rows(standard(path), MODEL["subgraph_metadata"])
    return rows(subgraph, SUBGRAPH[f"{way}put_tensor_metadata"])


@pytest.fixture(scope="module")
def net():
    return image_net(NORMS["GroupNormalization"])


@pytest.fixture(scope="module")
def path(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("standard") / "net.tflite"
    to_tflite(net, path, labels=LABELS, certificate=True)
    return path


def test_it_names_the_model_its_version_and_its_tensors(path, net):
    found = standard(path)
    assert text(found, MODEL["name"]) == "image_net"
    assert text(found, MODEL["description"]) == "image_net, exported by keras-norms"
    assert text(found, MODEL["version"]) == f"sha256:{model_sha256(net)[:12]}"
    assert text(found, MODEL["min_parser_version"]) == "1.0.0"
    ((taken,), (given,)) = tensors(path, "in"), tensors(path, "out")
    assert [text(taken, TENSOR["name"]), text(given, TENSOR["name"])] == ["image", "logits"]
    for tensor in (taken, given):
        content = below(tensor, TENSOR["content"])
        assert byte(content, CONTENT["content_properties_type"]) == 1
        assert content.Offset(CONTENT["content_properties"])


def test_labels_are_a_file_of_the_output(path):
    (file,) = rows(tensors(path, "out")[0], TENSOR["associated_files"])
    assert (text(file, FILE["name"]), byte(file, FILE["type"])) == ("labels.txt", 2)
    assert not rows(tensors(path, "in")[0], TENSOR["associated_files"])
    with zipfile.ZipFile(path) as archive:
        (info,) = archive.infolist()
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split("\n") == LABELS
    assert info.compress_type == zipfile.ZIP_STORED
    assert info.date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_litert_runs_it_from_memory_too(resolver, path, net):
    x = np.random.default_rng(0).normal(size=(1, 12, 12, 3)).astype("float32")
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver)
    got = interpreter.get_signature_runner()(image=x)["logits"]
    np.testing.assert_allclose(got, net(x), atol=1e-5)


def test_the_certificate_is_of_the_file_with_its_labels(path, net):
    report = verify(net, path)
    assert report.ok
    assert report.certificate.ok


def test_writing_again_changes_nothing(path, tmp_path):
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(path.read_bytes())
    write_metadata(copy, read_metadata(path))
    assert copy.read_bytes() == path.read_bytes()
    write_metadata(copy, {name: value for name, value in read_metadata(path).items() if name != "labels"})
    assert not zipfile.is_zipfile(copy)
    assert not rows(tensors(copy, "out")[0], TENSOR["associated_files"])


def test_labels_belong_to_the_output_that_they_were_given_for(tmp_path):
    path, labels = tmp_path / "two.tflite", [f"t{i}" for i in range(8)]
    to_tflite(two_in_two_out(), path, labels={"total": labels})
    assert [text(tensor, TENSOR["name"]) for tensor in tensors(path, "in")] == ["zeta", "alpha"]
    found = {text(t, TENSOR["name"]): rows(t, TENSOR["associated_files"]) for t in tensors(path, "out")}
    assert list(found) == ["total", "logits"]
    assert [text(file, FILE["name"]) for file in found["total"]] == ["total_labels.txt"]
    assert found["logits"] == []
    with zipfile.ZipFile(path) as archive:
        assert archive.read("total_labels.txt").decode().split("\n") == labels


def test_one_tensor_under_two_names_has_the_labels_of_both(tmp_path):
    path, x = tmp_path / "twice.tflite", keras.Input((4,), name="x")
    y = keras.layers.Dense(2, name="y")(x)
    to_tflite(keras.Model(x, {"b/1": y, "ä": y}), path, labels={"b/1": ["1", "2"], "ä": ["3", "4"]})
    with zipfile.ZipFile(path) as archive:
        files = {text(t, TENSOR["name"]): rows(t, TENSOR["associated_files"]) for t in tensors(path, "out")}
        found = {name: [archive.read(text(file, FILE["name"])) for file in packed] for name, packed in files.items()}
        assert all("/" not in name and name.isascii() for name in archive.namelist())
    assert found == {"b/1": [b"1\n2"], "ä": [b"3\n4"]}


def test_a_label_of_two_lines_is_refused(net, tmp_path):
    with pytest.raises(ExportError, match=r"labels for 'logits' must be a line each.*got 'a\\nb'"):
        to_tflite(net, tmp_path / "m.tflite", labels=["a\nb", "b", "c", "d"])
