"""Files with a fault put in: `verify` sees each that moves an ordinary input. More are in benchmarks/corruptions.py."""

import pytest
from corruptions import Corruption, corruptions, spread
from corruptions.trial import Base, verified_here

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("answers_kept")]
FAULTS = 8


@pytest.mark.parametrize(
    ("name", "suffix", "mode"),
    [
        ("two branches", ".tflite", "float32"),
        ("two branches", ".onnx", "float32"),
        ("residual", ".onnx", "float32"),
        ("dense", ".tflite", "int8"),
        ("dense", ".onnx", "float16"),
    ],
)
def test_what_moves_an_ordinary_input_is_caught(name, suffix, mode, tmp_path):
    with verified_here():
        base = Base.exported(name, suffix, mode, tmp_path)
        sound = base.tried(Corruption("none", "", lambda content: content), tmp_path)
        assert (sound.matters, sound.caught) == (False, False), sound
        trials = [base.tried(fault, tmp_path) for fault in spread(corruptions(base.content, suffix), FAULTS, name)]
    assert len({trial.kind for trial in trials}) == FAULTS
    assert any(trial.matters for trial in trials)
    assert [trial for trial in trials if trial.matters and not trial.caught] == []
