"""Every row of PASSES on graphs in ONNX's text form: one on which it fires, one on which it must not.

The operations that are left are compared, and the numbers with those before.
"""

import inspect
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes import PASSES  # noqa: E402
from keras_norms.export.formats.onnx.passes.check_passes import PassChecker, PassError  # noqa: E402
from keras_norms.export.formats.onnx.passes.clean import remove_unused  # noqa: E402
from keras_norms.export.formats.onnx.passes.pass_types import Group, Pass, PassOptions, PassResult  # noqa: E402
from keras_norms.export.formats.onnx.passes.run_passes import apply_pass, optimize  # noqa: E402
from onnx_pass_cases import BETWEEN, CASES  # noqa: E402
from onnx_text_graphs import kinds, parsed  # noqa: E402

ROWS = {row.name: row for row in PASSES}


def test_every_pass_has_a_case_and_a_row_of_its_own():
    without = [row.name for row in PASSES if row.name not in CASES]
    assert not without, f"CASES of tests/support/onnx_pass_cases.py has no row for {without}"
    assert list(CASES) == [row.name for row in PASSES], "in the order of PASSES"
    for name, case in CASES.items():
        assert case.fires, name
        assert case.stays, name
        assert case.fires != case.stays, name


# Files in passes/ that are no pass: what passes share, or run in.
HELPERS = {
    *("branch_shapes", "clean", "ir_utils", "min_cut", "size", "skips", "symbolic_shapes", "tidy_names"),
    *("check_passes", "pass_types", "run_passes"),
    *("layout_homes", "permute_op", "permute_weights", "feature_block"),  # of layout
    *("lift_to_2d", "loop_body", "norm_pattern"),  # of conv1d_as_conv2d, loop_as_gru, norm_forms
}


def test_every_file_is_that_of_a_pass_or_known_to_be_none():
    folder = Path(inspect.getfile(optimize)).parent
    of_passes = {Path(inspect.getfile(row.rewrite)).stem for row in PASSES}
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == of_passes | HELPERS
    assert not of_passes & HELPERS


def test_rows_are_in_the_order_of_their_groups_and_say_why():
    assert [row.group for row in PASSES] == sorted([row.group for row in PASSES], key=list(Group).index)
    assert all(len(row.why_here) > 10 for row in PASSES)


# Before this row of PASSES, an export knows only the shapes of inputs and outputs.
FIRST_INFERRED = next(i for i, row in enumerate(PASSES) if row.then_infer)


def forget_shapes(model):
    for value in (value for node in model.graph for value in node.outputs if not value.is_graph_output()):
        value.shape = None


def after(case, text, name):
    """The graph behind the pass, whose numbers are held to those before."""
    model = parsed(text, case.opset)
    if list(ROWS).index(name) < FIRST_INFERRED:
        forget_shapes(model)
    checker = PassChecker(model)
    for first in case.before:
        apply_pass(ROWS[first], model, PassOptions())
    result = apply_pass(ROWS[name], model, PassOptions())
    remove_unused(model)
    checker.check(name, model, result.channels_first)
    return model


@pytest.mark.parametrize("name", CASES)
def test_a_pass_fires(name):
    case = CASES[name]
    model = after(case, case.fires, name)
    assert kinds(model) == case.left
    if case.fired is None:
        assert kinds(model) != kinds(parsed(case.fires, case.opset))
    else:
        assert case.fired(model)


@pytest.mark.parametrize("name", CASES)
def test_a_pass_does_not_fire_where_it_would_be_wrong_or_gain_nothing(name):
    case = CASES[name]
    model = after(case, case.stays, name)
    assert kinds(model) == kinds(parsed(case.stays, case.opset))
    assert case.fired is None or not case.fired(model)


GRAPH = "(float[N, 3] x, float[3] w) => (float[N, 3] y) { a = Identity(x)  b = Mul(a, w)  y = Relu(b) }"


def doubling(model, _options):
    for node in [node for node in model.graph if node.op_type == "Mul"]:
        node.replace_input_with(1, node.inputs[0])


def dangling(model, _options):
    next(node for node in model.graph if node.op_type == "Mul").replace_input_with(1, ir.Value(name="nowhere"))


BROKEN = {
    "square_by_mistake": (doubling, "Pass 'square_by_mistake' changed output 'y'"),
    "point_nowhere": (dangling, "Pass 'point_nowhere' left a graph that does not run"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pass_is_named_if_passes_are_checked(name, monkeypatch):
    rewrite, message = BROKEN[name]
    passes = (*PASSES[:8], Pass(name, Group.CANONICALIZE, rewrite, "to be found"), *PASSES[8:])
    monkeypatch.setenv("KERAS_NORMS_CHECK_PASSES", "1")
    optimize(parsed(GRAPH), PassOptions())
    with pytest.raises(PassError, match=message):
        optimize(parsed(GRAPH), PassOptions(), passes)
    monkeypatch.delenv("KERAS_NORMS_CHECK_PASSES")
    optimize(parsed(GRAPH), PassOptions(), PASSES)


def test_the_check_follows_a_layout_that_turns():
    model = parsed(BETWEEN.format(between="Relu(c)"))
    checker = PassChecker(model)
    result = apply_pass(ROWS["settle_layout"], model, PassOptions(channels_first_io=True))
    assert result == PassResult(channels_first=("x", "y"))
    checker.check("settle_layout", model, result.channels_first)
    with pytest.raises(PassError):
        PassChecker(parsed(BETWEEN.format(between="Relu(c)"))).check("settle_layout", model, ())


@pytest.mark.parametrize(
    ("got", "fails"), [([1, 2], False), ([1, 2.00001], False), ([1, 2.01], True), ([1, np.nan], True), ([1], True)]
)
def test_the_check_tells_rounding_from_change(got, fails, monkeypatch):
    checker = PassChecker(parsed(GRAPH))
    checker._outputs = {"y": np.array([1.0, 2.0], np.float32)}
    monkeypatch.setattr(
        "keras_norms.export.formats.onnx.passes.check_passes._run", lambda *_: {"y": np.array(got, np.float32)}
    )
    outcome = pytest.raises(PassError) if fails else pytest.MonkeyPatch.context()
    with outcome:
        checker.check("any", parsed(CASES["min_as_clip"].stays), ())


def test_a_graph_that_a_pass_left_alone_does_not_run_again(monkeypatch):
    checker = PassChecker(parsed(GRAPH))
    monkeypatch.setattr("keras_norms.export.formats.onnx.passes.check_passes._run", lambda *_: {})
    checker.check("any", parsed(GRAPH), ())
    with pytest.raises(KeyError):
        checker.check("any", parsed(CASES["min_as_clip"].stays), ())


def test_the_log_names_each_pass_and_why_it_left_a_node(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_NORMS_PASS_LOG", str(tmp_path / "log"))
    optimize(parsed(CASES["min_as_clip"].stays), PassOptions())
    lines = (tmp_path / "log").read_text().splitlines()
    at = lines.index("min_as_clip: 3 nodes before, 3 behind")
    assert lines[at + 1] == "    left Min 'n1': its Relu is used otherwise too"
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [row.name for row in PASSES]
