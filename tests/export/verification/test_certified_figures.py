"""What figures a certificate holds an artifact to: a quantized one to its own signal to noise ratio less 3 dB."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, to_tflite, verify
from keras_norms.export.artifact.hashes import artifact_sha256
from keras_norms.export.quantization.modes import MODES
from keras_norms.export.report.check import Check
from keras_norms.export.report.verify_report import Tried, VerifyReport
from keras_norms.export.verification.certificate import Certificate
from models import randomize

pytestmark = pytest.mark.usefixtures("read_here")

INF = float("inf")
TRIED = Tried("random", "N(0, 1)", 0, {"x": [1, 4]}, {"x": "aa"})


def figure(sqnr_db, judged_for="numbers", relative=1e-2):
    floor_db = 10.0 if judged_for == "numbers" else None
    return Check("random", "LiteRT", "y", 1.0, 1.0, relative, sqnr_db, 1e-4, floor_db, True, None, judged_for)


def certified(old, quantized):
    """What a certificate with the figure `old` finds in a report with the figure `now`."""
    record = json.loads(json.dumps(asdict(old)).replace("-Infinity", "null").replace("Infinity", "null"))
    certificate = Certificate(Path("m.json"), {"checks": [record], "inputs": [asdict(TRIED)]})
    return lambda now: certificate._figures(VerifyReport("m", 1e-4, (now,), quantized=quantized, inputs=(TRIED,)))


@pytest.mark.parametrize(
    ("then", "now", "judged_for", "holds"),
    [
        (30, 27.1, "numbers", True),
        (30, 26.9, "numbers", False),
        (30, 45, "numbers", True),
        (12, 8.9, "numbers", False),
        (INF, 78, "numbers", True),
        (INF, 76, "numbers", False),
        (30, 27.1, "finite", True),
        (30, 26.9, "finite", False),
        (9.9, -20, "finite", True),  # noise, on inputs that the file was not made for
        (10.1, 7, "finite", False),
        (-INF, -INF, "finite", True),
    ],
)
def test_a_quantized_file_may_lose_three_decibels(then, now, judged_for, holds):
    compared, differences, _ = certified(figure(then, judged_for, INF if then == -INF else 1e-2), "int8")(
        figure(now, judged_for)
    )
    assert compared == 1
    assert (differences == []) == holds


def test_without_its_calibration_data_the_random_inputs_hold_it():
    """They are judged by their numbers then, which they were not when the file was made."""
    compare = certified(figure(25, "finite"), "int8")
    assert compare(figure(23, "numbers"))[1] == []
    (told,) = compare(figure(21, "numbers"))[1]
    assert told == "'y' on random input in LiteRT had 25.0 dB, now 21.0; at most 3 may be lost"


def test_the_first_certificates_did_not_say_what_was_judged():
    record = {name: value for name, value in asdict(figure(30)).items() if name not in ("judged_for", "problem", "why")}
    certificate = Certificate(Path("m.json"), {"checks": [record], "inputs": [asdict(TRIED)]})
    for now, holds in ((28, True), (26, False)):
        report = VerifyReport("m", 1e-4, (figure(now),), quantized="int8", inputs=(TRIED,))
        assert (certificate._figures(report)[1] == []) == holds


@pytest.mark.parametrize(
    ("then", "now", "judged_for", "holds"),
    [
        (2e-6, 9e-6, "numbers", True),
        (2e-6, 3e-5, "numbers", False),
        (3e-1, 5e-1, "finite", True),  # of a constant a norm leaves nothing but rounding
    ],
)
def test_a_float_file_is_as_far_off_as_it_was(then, now, judged_for, holds):
    compare = certified(figure(100, judged_for, then), None)
    assert (compare(figure(100, judged_for, now))[1] == []) == holds


@pytest.mark.runtime
def test_a_certified_file_that_loses_more_is_told_from_the_sound_one(tmp_path):
    """With and without the calibration data, whatever hash the certificate has."""
    from corruptions.tflite_faults import corruptions

    x = keras.Input((6,), name="x")
    model = randomize(keras.Model(x, keras.layers.Dense(4, name="y")(keras.layers.Dense(64, "relu")(x))))
    data = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    path, beside = tmp_path / "m.tflite", tmp_path / "m.tflite.json"
    to_tflite(model, path, quantize="int8", calibration=data, certificate=True)
    for given in (data, None):
        assert verify(model, path, inputs=given).ok
    fault = next(one for one in corruptions(path.read_bytes()) if one.kind == "weights by 10 %")
    path.write_bytes(fault.of(path.read_bytes()))
    certificate = json.loads(beside.read_text())
    certificate["artifact"]["sha256"] = artifact_sha256(path)
    beside.write_text(json.dumps(certificate))
    for given in (data, None):
        report = verify(model, path, inputs=given)
        assert report.reproduces
        assert not report.ok
        assert "may be lost" in report.failure()


@pytest.mark.parametrize("emptied", ["checks", "inputs"])
def test_a_certificate_that_says_nothing_is_refused(emptied, tmp_path):
    data = {"kind": "keras-norms certificate", "schema": 1, "artifact": {}, "model": {}, "versions": {}}
    data |= {"checks": [asdict(figure(30))], "inputs": [asdict(TRIED)]} | {emptied: []}
    (tmp_path / "m.onnx.json").write_text(json.dumps(data))
    with pytest.raises(ExportError, match=f"m.onnx.json' says nothing: it has no {emptied}. Export again"):
        Certificate.beside(tmp_path / "m.onnx")


def test_each_output_is_held_to_its_own_ratio(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"a file")
    checks = [asdict(replace(figure(had), output=name)) for name, had in (("poor", 5.0), ("good", 40), ("poor", 8))]
    mode = Certificate(path, {"artifact": {"sha256": artifact_sha256(path)}, "checks": checks}).held(
        MODES["int8"], path
    )
    assert {name: mode.floor_of(name) for name in ("poor", "good", "other")} == {"poor": 2, "good": 10, "other": 10}


@pytest.mark.runtime
def test_without_its_calibration_data_a_certified_file_is_held_to_its_own_ratio_on_random_numbers(tmp_path):
    """Ranges of numbers of 0.3 clip those of 1: less than 10 dB are left, as the certificate says."""
    x = keras.Input((6,), name="x")
    model = randomize(keras.Model(x, keras.layers.Dense(4, name="y")(keras.layers.Dense(64, "relu")(x))))
    data = 0.3 * np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    path = tmp_path / "m.tflite"
    to_tflite(model, path, quantize="int8", calibration=data, certificate=True)
    report = verify(model, path)
    assert report.ok
    assert 0 < report.outputs["y"].sqnr_db < 10
    (tmp_path / "m.tflite.json").unlink()
    assert not verify(model, path).ok
