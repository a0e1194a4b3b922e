"""Weights of a TFLite file that several operations read, written operation by operation."""

import numpy as np
import pytest
from keras_norms.export.formats.tflite.interpreter import open_interpreter
from keras_norms.export.formats.tflite.quantize.narrow_weights import NarrowWeights
from tflite_files import Op, flatbuffer

X = np.random.default_rng(0).normal(size=(40, 1, 64)).astype("float32")


def results(content):
    interpreter = open_interpreter(content)
    interpreter.allocate_tensors()
    found = []
    for x in X:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        found.append([interpreter.get_tensor(y["index"]).copy() for y in interpreter.get_output_details()])
    return [np.concatenate([y.ravel() for y in ys]) for ys in zip(*found, strict=True)]


@pytest.mark.parametrize("first", ["FULLY_CONNECTED", "MUL"])
@pytest.mark.parametrize("bits", [16, 8, 4])
def test_a_kernel_that_another_operation_reads_too(bits, first, tmp_path):
    """Its scales are those of the kernel's outputs, whichever operation comes first."""
    w = np.random.default_rng(1).normal(size=(32, 64)).astype("float32") * np.logspace(0, 3, 32)[:, None]
    ops = [Op("FULLY_CONNECTED", ["x", "w"], "y", (1, 32)), Op("MUL", ["w", "c"], "z", (32, 64))]
    ops = ops if first == "FULLY_CONNECTED" else ops[::-1]
    constants = {"w": w.astype("float32"), "c": np.full((1, 1), 2.0, "float32")}
    content = flatbuffer({"x": (1, 64)}, constants, ops, ["y", "z"])
    stored = NarrowWeights(content, [[x] for x in X], ())
    assert [weight.shape for weight in stored.weights] == [(32, 64)]
    stored.write({0: bits}, tmp_path / "m.tflite")
    for y, other in zip(results(content), results((tmp_path / "m.tflite").read_bytes()), strict=True):
        noise = np.square(y - other).sum() / np.square(y).sum()
        assert -10 * np.log10(noise) > {16: 60, 8: 35, 4: 12}[bits]
    assert len((tmp_path / "m.tflite").read_bytes()) < len(content) - w.size * (32 - bits) / 8 + 1200


def test_what_is_small_or_an_output_stays(tmp_path):
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(4, 64)).astype("float32"), "b": rng.normal(size=600).astype("float32")}
    ops = [Op("FULLY_CONNECTED", ["x", "w"], "y", (1, 4)), Op("MUL", ["b", "b"], "z", (600,))]
    content = flatbuffer({"x": (1, 64)}, constants, ops, ["y", "z"])
    assert NarrowWeights(content, [[x] for x in X], ()).weights == ()
