"""The reference kernels advise: where there is none for an operation, the export goes on without them."""

import pytest
from keras_norms.export.formats.tflite.runtime import advisers, runners
from tflite_files import Op, flatbuffer

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize(("kind", "advised"), [("TANH", True), ("ELU", False)])
def test_an_operation_without_a_reference_kernel_is_no_obstacle(kind, advised, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(flatbuffer({"x": (1, 4)}, {}, [Op(kind, ["x"], "y", (1, 4))], ["y"]))
    assert bool(advisers(path)) == advised
    assert len(runners(path)) == 2
