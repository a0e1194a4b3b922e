"""Random graphs, folded and compared in float64: 60 here, more by `KERAS_NORMS_FUZZ=1000 pytest <this file>`.

`KERAS_NORMS_FUZZ_FIRST` sets the first seed. A failure is shrunk to a few steps and printed as a call of `build`.
"""

import os

import fold_faults
import keras
import pytest
from fold_faults import fault, fuzz, shrink
from fold_programs import build, program
from keras_norms.export.folding.call_graph import Graph

GRAPHS = int(os.environ.get("KERAS_NORMS_FUZZ", "60"))
FIRST = int(os.environ.get("KERAS_NORMS_FUZZ_FIRST", "0"))
BATCH = 12

EXACT = keras.backend.backend() == "tensorflow"
pytestmark = pytest.mark.skipif(not EXACT, reason="Keras' own norm is not exact in float64 there")


@pytest.fixture(autouse=True)
def _float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs(first):
    assert fuzz(range(first, min(first + BATCH, FIRST + GRAPHS))) > 0


def test_programs_are_what_their_seed_says():
    assert program(2) == program(2) != program(3)
    first, second = (build(program(2), 2) for _ in range(2))
    assert [type(x) for x in first.layers] == [type(x) for x in second.layers]


def test_a_broken_guard_is_found(monkeypatch):
    monkeypatch.setattr(Graph, "another_use", lambda *_: None)
    faults = (fault(program(seed), seed)[0] for seed in range(40))
    first = next(wrong for wrong in faults if wrong is not None)
    assert "The folded model must compute what the original does" in first


def test_a_failing_program_shrinks(monkeypatch):
    def needs_a_norm_behind_a_join(steps, _seed):
        kinds = [kind for kind, _ in steps]
        return ("wrong" if "join" in kinds and "norm" in kinds[kinds.index("join") :] else None), 0

    monkeypatch.setattr(fold_faults, "fault", needs_a_norm_behind_a_join)
    long = [("conv", 1), ("join", 2), ("dense", 3), ("norm", 4), ("norm", 5)]
    assert [kind for kind, _ in shrink(long, 0)] == ["join", "norm"]
    with pytest.raises(AssertionError, match=r"build\(\[\('join', "):
        fuzz(seed for seed in range(1000) if needs_a_norm_behind_a_join(program(seed), seed)[0])
