"""A TFLite file is parsed once as long as its bytes stay the same."""

from keras_norms.export.formats.tflite.read_file import read_file
from tflite_files import Op, flatbuffer


def operations(path):
    return len(read_file(path).subgraphs[0].operators)


def test_a_file_that_changed_is_read_again(tmp_path):
    path, ops = tmp_path / "m.tflite", [Op("ABS", ["x"], "y", (1, 4)), Op("ABS", ["y"], "z", (1, 4))]
    path.write_bytes(flatbuffer({"x": (1, 4)}, {}, ops[:1], ["y"]))
    assert read_file(path) is read_file(path)
    assert operations(path) == 1
    path.write_bytes(flatbuffer({"x": (1, 4)}, {}, ops, ["z"]))
    assert operations(path) == 2
