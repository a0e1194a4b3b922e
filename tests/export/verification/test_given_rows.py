"""What a user gives is compared to the last row, and what cannot be judged is refused with its place."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export import ExportError, FoldError, VerificationError, fold, to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.signature import signature
from keras_norms.export.quantization.calibration import read_calibration
from keras_norms.export.quantization.modes import MODES
from keras_norms.export.verification.cases import cases_to_try, given_cases
from models import randomize, two_in_two_out

pytestmark = pytest.mark.usefixtures("read_here")

L = keras.layers
SUFFIXES = pytest.mark.parametrize("suffix", EXPORTS)
FAR = 1e7


def dense(batch=None):
    x = keras.Input(batch_shape=(batch, 4), name="x")
    return randomize(keras.Model(x, L.Dense(3, name="y")(x)))


def clipped(most, batch=None):
    x = keras.Input(batch_shape=(batch, 4), name="x")
    return keras.Model(x, L.ReLU(max_value=most, name="y")(x))


def rows(count=5):
    return np.random.default_rng(0).normal(size=(count, 4)).astype("float32")


def last_far(count):
    return np.concatenate([rows(count - 1), np.full((1, 4), FAR, "float32")])


@pytest.mark.runtime
@SUFFIXES
@pytest.mark.parametrize("batch", [None, 1, 3, "the model's own"], ids=str)
def test_a_fault_in_the_last_row_is_found(suffix, batch, tmp_path):
    path, own = tmp_path / f"m{suffix}", 2 if isinstance(batch, str) else None
    EXPORTS[suffix](clipped(1e6, own), path, batch_size=own or batch)
    report = verify(clipped(1e8, own), path, inputs=last_far(41))
    assert not report.ok
    assert "on given input" in report.failure()
    (tried,) = [tried for tried in report.inputs if tried.case == "given"]
    assert tried.shapes == {"x": [41, 4]}
    runtimes = {check.runtime for check in report.checks}
    assert len([check for check in report.checks if check.case == "given"]) == len(runtimes), "one line each"
    assert verify(clipped(1e8, own), path, inputs=rows(41)).ok


@pytest.mark.runtime
@SUFFIXES
def test_an_export_is_compared_on_what_is_given(suffix, tmp_path, monkeypatch):
    """The converter is made to return the artifact of a model that clips."""
    path = tmp_path / f"m{suffix}"
    EXPORTS[suffix](clipped(1e6), path)
    wrong = path.read_bytes()
    monkeypatch.setattr(
        type(format_of(path)), "convert", lambda self, conversion, *_: (Path(conversion.path).write_bytes(wrong), ())[1]
    )
    assert EXPORTS[suffix](clipped(1e8), path).verification.ok
    with pytest.raises(VerificationError, match="on given input"):
        EXPORTS[suffix](clipped(1e8), path, inputs=last_far(3), batch_size=1)


@pytest.mark.runtime
@SUFFIXES
def test_inputs_of_an_export_are_certified_and_may_be_read_but_once(suffix, tmp_path):
    path, x, model = tmp_path / f"m{suffix}", rows(), dense()
    EXPORTS[suffix](model, path, inputs=(x[i : i + 2] for i in range(0, 5, 2)), certificate=True)
    data = json.loads((tmp_path / f"m{suffix}.json").read_text())
    ((stored,),) = data["options"]["inputs"]
    assert stored["shape"] == [5, 4]
    assert [case["sha256"] for case in data["inputs"] if case["case"] == "given"] == [{"x": stored["sha256"]}]
    report = verify(model, path, inputs=x)
    assert report.certificate.ok
    assert report.certificate.compared == len(report.checks)


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tflite", "int8"), (".tflite", "dynamic"), (".onnx", "dynamic"), (".onnx", "float16")]
)
def test_a_quantized_file_is_judged_on_the_calibration_data(suffix, mode, tmp_path):
    x = rows(48)
    report = EXPORTS[suffix](dense(), tmp_path / f"m{suffix}", quantize=mode, calibration=x, batch_size=5)
    (tried,) = [tried for tried in report.verification.inputs if tried.case == "given"]
    assert tried.shapes == {"x": [48, 4]}, "the three rows that fill no batch too"
    assert "given" in {check.case for check in report.verification.checks}


@pytest.mark.runtime
def test_calibration_data_that_the_file_clips_refuse_it(tmp_path):
    """Ranges are taken from the first 512 rows alone; the rest must fit them all the same."""
    x = np.tile(rows(10), (60, 1))
    to_tflite(dense(), tmp_path / "m.tflite", quantize="int8", calibration=x)
    x[-40:] *= 30
    with pytest.raises(VerificationError, match="on given input"):
        to_tflite(dense(), tmp_path / "n.tflite", quantize="int8", calibration=x)
    with pytest.raises(VerificationError, match="on given input"):
        to_tflite(dense(), tmp_path / "n.tflite", quantize="int8", calibration=x[:8], inputs=x)


def tried_for(mode, given):
    class Taken:
        inputs = signature(dense()).inputs
        outputs = ("y",)

    facts = ModelFacts.of(dense())
    mode = mode and MODES[mode]
    cases = cases_to_try(facts, {"a runtime": Taken()}, Path("m.onnx"), given_cases(given, facts.declared), mode)
    numbers = [case.name for case in cases if case.judged_for == "numbers"]
    return len(cases), numbers


def test_what_a_quantized_file_is_held_to():
    every, numbers = tried_for(None, rows())
    far = ["constant", "steps"]  # there a file must only be finite
    assert len(numbers) == every - len(far)
    random = ["random, batch 1", "random, batch 3"]
    # No infinity: a quantized file may take the range of a whole tensor from it.
    assert tried_for("dynamic", None) == (every - 2, random)
    assert tried_for("dynamic", rows()) == (every - 1, [*random, "given"])
    assert tried_for("int8", None) == (every - 2, random)
    assert tried_for("int8", rows()) == (every - 1, ["given"])


def test_batches_are_one_case_where_their_sizes_allow():
    x = keras.Input((None, 2), name="x")
    sig = signature(keras.Model(x, L.Dense(1)(x)))
    batches = [np.zeros(shape) for shape in ((2, 5, 2), (1, 7, 2), (3, 5, 2), (1, 7, 2))]
    found = given_cases(iter(batches), sig)
    assert [(name, arrays[0].shape) for name, arrays in found] == [("given", (5, 5, 2)), ("given, batch 1", (2, 7, 2))]
    assert [name for name, _ in given_cases(batches, sig, [batches[0]])] == ["given", "given, batch 1", "calibration"]
    assert [name for name, _ in given_cases(None, sig, [batches[0]])] == ["given"]


@pytest.mark.runtime
def test_inputs_with_different_numbers_of_rows_do_not_fit_a_fixed_batch(tmp_path):
    model = two_in_two_out()
    to_onnx(model, tmp_path / "m.onnx", batch_size=2)
    data = {"zeta": np.zeros((4, 8, 8, 4), "float32"), "alpha": np.zeros((3, 5), "float32")}
    with pytest.raises(ExportError, match="a file of batch 2 must have as many examples for every input"):
        verify(model, tmp_path / "m.onnx", inputs=data)


HOLES = {
    "NaN": ([(3, 2), (3, 3), (4, 0)], np.nan, "hold 3 NaN, the first in row 3 at [2]."),
    "infinity": ([(0, 1)], -np.inf, "hold 1 infinity, the first in row 0 at [1]."),
    "infinities": ([(0, 1), (2, 1)], np.inf, "hold 2 infinities, the first in row 0 at [1]."),
}


def hollow(kind):
    places, value, text = HOLES[kind]
    x = rows()
    for place in places:
        x[place] = value
    return x, text


@pytest.mark.parametrize("kind", HOLES)
def test_what_is_no_number_is_refused_with_its_place(kind):
    x, text = hollow(kind)
    sig = signature(dense())
    with pytest.raises(ExportError) as refused:
        given_cases(x, sig)
    assert f"inputs for 'x' {text}" in str(refused.value)
    with pytest.raises(ExportError) as refused:
        given_cases(iter([rows(), rows(), x]), sig)
    assert f"inputs for 'x' {text.replace('row', 'batch 2, row')}" in str(refused.value)
    with pytest.raises(ExportError) as refused:
        read_calibration([rows(), x], sig)
    assert f"calibration for 'x' {text.replace('row', 'batch 1, row')}" in str(refused.value)
    with pytest.raises(FoldError) as refused:
        fold(dense(), inputs=x)
    assert f"inputs {text}" in str(refused.value)


def test_a_float64_beyond_float32_is_no_number_either():
    with pytest.raises(ExportError, match=r"hold 1 infinity, the first in row 0 at \[0\]"):
        given_cases(np.array([[1e300, 0, 0, 0]]), signature(dense()))


def test_all_calibration_data_in_memory_is_read_and_of_the_rest_what_is_used(tmp_path):
    x, sig = rows(700), signature(dense())
    np.savez(tmp_path / "x.npz", x)
    for data in (x, [x[:600], x[600:]], {"x": x}, tmp_path / "x.npz"):
        found = read_calibration(data, sig)
        np.testing.assert_array_equal(found.rows[0], x)
        assert len(found.batches) == 512
    found = read_calibration((x[i : i + 100] for i in range(0, 700, 100)), sig)
    assert (len(found.rows[0]), len(found.batches)) == (600, 512)


def test_calibration_batches_of_different_sizes_are_refused():
    x = keras.Input((None, 2), name="x")
    sig = signature(keras.Model(x, L.Dense(1)(x)))
    with pytest.raises(ExportError, match=r"same sizes in every batch; the first has \[1, 5, 2\], another \[1, 7, 2\]"):
        read_calibration([np.zeros((1, 5, 2)), np.zeros((1, 7, 2))], sig)
