"""Each example runs as a script, in a directory of its own, and prints what it promises."""

import re
import runpy
import sys
from pathlib import Path

import keras
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

CASES = {
    "train_with_micro_batches": (
        "micro.keras",
        r"1024 steps of 2 images; right on unseen images: (\d+\.\d) %",
        ["micro.keras"],
    ),
    "export_for_a_phone": ("", r"off by (\S+) of the largest output", ["phone.tflite", "server.onnx"]),
    "load_a_saved_model": ("", r"answer differs by (\S+)\.\n", ["model.keras", "answer.npy"]),
    "classify_a_photograph_in_int8": ("", r"scores off by (\S+) at most", ["photograph.tflite"]),
    "run_on_a_microcontroller": (
        "",
        r"right on unseen digits: (\d+\.\d) %",
        ["digits.h", "digits.tflite", "size.c", "size.o"],
    ),
    "serve_a_folded_saved_model": ("", r"4 answers from \S+, (\S+) off", ["served_model"]),
}


def run(name, argument, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(argument)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    keras.backend.clear_session()
    return capsys.readouterr().out


@pytest.mark.runtime
@pytest.mark.parametrize("name", CASES)
def test_example(name, tmp_path, monkeypatch, capsys):
    if name == "run_on_a_microcontroller":
        pytest.importorskip("tflite_micro")
    argument, promise, files = CASES[name]
    out = run(name, tmp_path / argument, monkeypatch, capsys)
    figure = float(re.search(promise, out)[1])
    limit = 0.02 if "int8" in name else 1e-5
    assert figure > 90 if "%" in promise else figure < limit
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_every_example_is_a_case_and_short():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(CASES)
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60, path.name
