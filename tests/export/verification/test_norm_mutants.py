"""One wrong norm among many: `verify` sees it at every depth. benchmarks/norm_mutants.py has depths up to 50."""

import pytest
from norm_mutants import MATTERS, judged, verified_here

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize(
    ("kind", "depth", "fault", "at", "suffix"),
    [
        ("conv, group norm", 3, "epsilon x2", 0, ".onnx"),
        ("residual, group norm", 4, "leak of a group", 2, ".tflite"),
        ("conv, instance norm", 4, "leak of samples", 0, ".onnx"),
        ("dense, layer norm", 24, "epsilon x2", 3, ".onnx"),  # which the outputs hardly show
    ],
)
def test_one_wrong_norm_among_many_is_caught(kind, depth, fault, at, suffix, tmp_path):
    with verified_here():
        verdict = judged(kind, depth, fault, at, suffix, tmp_path)
    assert verdict.change > MATTERS
    assert verdict.caught


def test_a_sound_network_of_many_norms_passes(tmp_path):
    with verified_here():
        verdict = judged("dense, layer norm", 12, None, -1, ".tflite", tmp_path)
    assert not verdict.caught, verdict.how
