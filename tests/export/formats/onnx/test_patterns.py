"""The patterns of benchmarks/fold_patterns.py that leave nothing in ONNX Runtime's optimized graph."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.runtime

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "fold_patterns.py"


def load():
    spec = importlib.util.spec_from_file_location("fold_patterns", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


patterns = load()
IMPOSSIBLE = ("BN, Conv2D same", "BN, ReLU, Conv2D")


@pytest.mark.parametrize("name", patterns.PATTERNS)
def test_nothing_is_left_of_a_norm(name, tmp_path):
    left = patterns.ours(name, "onnx", tmp_path)
    assert left == ("Add, Mul" if name in IMPOSSIBLE else "")
