"""`quantize="auto"` from end to end: a trained network, a budget in each format, judged by arithmetic of our own."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from keras_norms.export.pipeline.candidates import Candidate
from keras_norms.export.pipeline.within_budget import none_fits
from keras_norms.export.quantization.budget import Budget
from keras_norms.export.report.size_curve import SizePoint
from sklearn.datasets import load_digits

import keras_norms

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]
L = keras.layers
MAX_BYTES, MIN_DB = 22_000, 30.0


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    return digits.images[..., None].astype("float32") / 16, digits.target


@pytest.fixture(scope="module")
def model(data):
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 1), name="image")
    for channels, norm in ((16, keras_norms.BatchNormalization), (32, lambda: keras_norms.GroupNormalization(8))):
        x = L.ReLU()(norm()(L.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv_{channels}")(x)))
    x = L.Dense(64, activation="relu", name="hidden")(L.Flatten()(L.MaxPooling2D(4)(x)))
    net = keras.Model(image, L.Dense(10, name="logits")(x))
    net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(data[0][:1000], data[1][:1000], epochs=3, verbose=0)
    return net


@pytest.fixture(scope="module")
def made(model, data, tmp_path_factory):
    """Path and report: the smallest of at least 30 dB as TFLite, the most exact of at most 22 kB as ONNX."""
    folder, rows = tmp_path_factory.mktemp("budget"), data[0][:300]
    asked = {"quantize": "auto", "calibration": rows}
    return {
        "tflite": (
            folder / "m.tflite",
            to_tflite(model, folder / "m.tflite", min_db=MIN_DB, certificate=True, **asked),
        ),
        "onnx": (folder / "m.onnx", to_onnx(model, folder / "m.onnx", max_bytes=MAX_BYTES, **asked)),
    }


def measured(path, model, rows):
    """The lowest ratio over the runtimes, in decibels."""
    expected, found = model.predict(rows, verbose=0).astype(np.float64), []
    for runner in format_of(path).runners(path).values():
        (got,) = runner.run({"image": rows}).values()
        found.append(10 * np.log10(np.square(expected).sum() / np.square(got - expected).sum()))
    return min(found)


def test_the_file_keeps_to_its_budget(made, model, data):
    path, report = made["tflite"]
    assert measured(path, model, data[0][:300]) >= MIN_DB
    path, report = made["onnx"]
    assert report.size_bytes == path.stat().st_size <= MAX_BYTES
    assert report.budget.chosen.sqnr_db == pytest.approx(measured(path, model, data[0][:300]), abs=0.3)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_nothing_that_was_tried_is_better(name, made):
    _, report = made[name]
    curve = report.budget
    tried = [point for point in (*curve.mixed, *curve.modes) if point.refused is None]
    assert {point.name for point in curve.modes} == {
        "tflite": {"float16", "dynamic", "int8", "int16x8"},
        "onnx": {"float16", "dynamic", "int8"},
    }[name]
    if name == "tflite":
        assert not [p for p in tried if p.sqnr_db >= MIN_DB and p.size_bytes < curve.chosen.size_bytes]
    else:
        assert not [p for p in tried if p.size_bytes <= MAX_BYTES and p.sqnr_db > curve.chosen.sqnr_db]
    assert max(p.size_bytes for p in tried) > 1.8 * curve.chosen.size_bytes


def test_at_the_bytes_of_a_fixed_mode_the_mixed_widths_are_more_exact(made):
    """8 bits whose arithmetic stays in floats lose less than 8 bits of both."""
    for _, report in made.values():
        of = {point.name: point for point in report.budget.modes}
        below = [point for point in report.budget.mixed if point.size_bytes <= of["int8"].size_bytes]
        assert max(point.sqnr_db for point in below) > of["int8"].sqnr_db + 6


def test_the_bits_in_the_report_are_those_in_the_file(made):
    from ai_edge_litert.tools import flatbuffer_utils

    path, report = made["tflite"]
    graph = flatbuffer_utils.read_model(str(path)).subgraphs[0]
    widths = {"FLOAT32": 32, "FLOAT16": 16, "INT8": 8, "INT4": 4}
    constants = [(flatbuffer_utils.type_to_name(t.type), int(np.prod(t.shape))) for t in graph.tensors if t.buffer]
    found = [(widths.get(kind), numbers) for kind, numbers in constants]
    for weight in report.budget.weights:
        assert (weight.bits, weight.numbers) in found
    assert {weight.layer for weight in report.budget.weights} == {"conv_32", "hidden", "logits"}
    assert min(weight.bits for weight in report.budget.weights) == 4


def test_the_file_verifies_with_its_certificate(made, model, data):
    path, report = made["tflite"]
    assert report.verification.quantized == "auto"
    again = verify(model, path, inputs=data[0][:300])
    assert again.ok
    assert again.quantized == "auto"
    assert verify(model, path).ok
    options = json.loads(report.certificate.read_text())["options"]
    assert (options["quantize"], options["min_db"]) == ("auto", MIN_DB)


def test_the_report_says_what_was_tried(made, tmp_path):
    _, report = made["tflite"]
    said = str(report.budget)
    assert said.startswith(f"Budget: at least 30 dB. Written: mixed, {report.size_bytes:,} bytes, ")
    assert "<- written" in said
    assert json.loads(report.to_json())["budget"]["weights"][0]["alone_db"].keys() == {"16", "8", "4"}
    assert report.budget.save_plot(tmp_path / "curve.svg").stat().st_size > 10_000
    with pytest.raises(ExportError, match="must end in"):
        report.budget.save_plot(tmp_path / "curve.txt")


def test_a_budget_that_nothing_keeps_names_what_comes_nearest():
    points = SizePoint("mixed", 4_000, 12.0), SizePoint("mixed", 9_000, 33.0), SizePoint("float32", 30_000, 120.0)
    tried = [Candidate(point, None, SimpleNamespace(format=format_of(Path("m.onnx"))), made=True) for point in points]
    said = none_fits(Budget(5_000, 30.0), tried, tried[0].request)
    assert said.startswith("No ONNX file keeps to the budget, at most 5,000 bytes and at least 30 dB: ")
    assert "the smallest file has 4,000 bytes at 12.0 dB, the smallest of at least 30 dB 9,000 bytes at 33.0 dB" in said
    said = none_fits(Budget(None, 130.0), tried, tried[0].request)
    assert "the most exact one 30,000 bytes at 120.0 dB" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_bytes": 1000}, "needs calibration="),
        ({"calibration": np.zeros((2, 8, 8, 1)), "max_bytes": 10, "target": "gpu"}, "target must be None; got 'gpu'"),
    ],
)
def test_what_does_not_go_together_is_refused(model, given, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        to_tflite(model, tmp_path / "m.tflite", quantize="auto", **given)
