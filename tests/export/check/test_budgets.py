"""The budgets of a file, on figures that are made up: nothing is converted or run."""

import pytest
from keras_norms.export.check.budgets import check_budgets
from keras_norms.export.check.export_fresh import Made
from keras_norms.export.check.outcomes import Outcomes
from keras_norms.export.report.check import Check
from keras_norms.export.report.verify_report import VerifyReport

NONE = dict.fromkeys(("min_db", "max_size", "max_latency", "max_latency_ratio"))


def report(*decibels, quantized="int8"):
    checks = tuple(
        Check("given", "LiteRT", f"y{i}", 0.1, 1.0, 0.1, sqnr, 1.0, 10.0, True) for i, sqnr in enumerate(decibels)
    )
    return VerifyReport("a.tflite", 1e-4, checks, quantized=quantized)


def told_of(made, **budgets):
    told = []
    check_budgets(None, {"name": "phone", **NONE, **budgets}, made, Outcomes(told.append))
    return [(each["check"], each["status"], each["kind"], each["text"]) for each in told if isinstance(each, dict)]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.onnx").write_bytes(bytes(1000))
    return tmp_path / "a.onnx"


def test_without_budgets_nothing_is_checked(path):
    assert told_of(Made(path)) == []


def test_what_has_no_file_is_skipped():
    assert told_of(None, max_size=1) == [("size", "skipped", None, "there is no file")]


@pytest.mark.parametrize(
    ("verification", "least", "status", "kind", "text"),
    [
        (report(40.0, 30.0), 30.0, "passed", None, "30.0 dB, at least 30 dB"),
        (report(40.0, 30.0), 30.5, "failed", "too-noisy", "output 'y1' has 30.0 dB; at least 30.5 dB is asked"),
        (report(float("inf")), 30.0, "passed", None, "inf dB, at least 30 dB"),
        (report(9.0, quantized=None), 30.0, "passed", None, "nothing in the file is quantized"),
        (None, 30.0, "skipped", None, "the file was not compared with its model"),
    ],
)
def test_noise(path, verification, least, status, kind, text):
    assert told_of(Made(path, verification), min_db=least) == [("noise", status, kind, text)]


def test_size_with_the_weights_beside_a_file(path):
    assert told_of(Made(path), max_size=1000) == [("size", "passed", None, "1,000 bytes, at most 1,000")]
    path.with_name("a.onnx.data").write_bytes(bytes(500))
    told = told_of(Made(path), max_size=1000)
    assert told == [("size", "failed", "too-large", "1,500 bytes; at most 1,000 bytes are allowed")]
