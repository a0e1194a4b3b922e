"""Every rewrite of a TFLite file and of a SavedModel on a small graph: one case that fires, one that must not."""

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras_norms.export.formats import tflite
from keras_norms.export.formats.rewrite_log import collected_skips
from keras_norms.export.formats.tflite.convert.rewrite_saved_model import rewrite_function, rewritten
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.quantize import sensitivity
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
from tflite_files import Op, constants, flatbuffer, kinds, run
from tflite_rewrites.case import VALID, random
from tflite_rewrites.convert_cases import CONVERT_CASES
from tflite_rewrites.function_cases import FUNCTIONS, REWRITES, ROUNDED
from tflite_rewrites.quantize_cases import QUANTIZE_CASES, WEIGHTS, seen
from tflite_rewrites.reasons import REASONS

CASES = {**CONVERT_CASES, **QUANTIZE_CASES}


@pytest.mark.parametrize("case", [name for name in CASES if not name[1].startswith("not")], ids="-".join)
def test_it_fires(case):
    given = CASES[case]
    after = given.rewrite(given.file)
    assert kinds(after) == given.becomes
    assert kinds(after) != kinds(given.file) or constants(after) != constants(given.file)
    assert (constants(after) != constants(given.file)) == given.changes_constants or not given.changes_constants
    expected, got = run(given.computes or given.file, given.inputs), run(after, given.inputs)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=given.error * np.abs(values).max(), rtol=0)


@pytest.mark.parametrize("case", [name for name in CASES if name[1].startswith("not")], ids="-".join)
def test_it_must_not_fire(case):
    given = CASES[case]
    assert given.becomes is None
    with collected_skips() as left:
        after = given.rewrite(given.file)
    assert kinds(after) == kinds(given.file)
    assert constants(after) == constants(given.file)
    assert {each.reason for each in left} == REASONS.get(case, set())


# --- SavedModels: NodeDefs in a FunctionDef in, NodeDefs out


def function(call, *shape):
    return tf.function(call).get_concrete_function(tf.TensorSpec(shape, tf.float32, "x")).function_def


def computed(definition, x):
    graph = function_def_to_graph(definition)
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run([y.name for y in graph.outputs], {graph.inputs[0].name: x})


def operations(definition):
    passed = ("Const", "Identity", "NoOp")
    return " ".join(sorted(node.op for node in definition.node_def if node.op not in passed))


@pytest.mark.parametrize("case", FUNCTIONS, ids="-".join)
def test_a_function_is_rewritten_or_left(case):
    call, becomes = FUNCTIONS[case]
    definition, x = function(call, 2, 3, 4), random(2, 3, 4)
    x[0, 0, 0] = 1.0
    before, expected = operations(definition), computed(definition, x)
    with collected_skips() as left:
        count = rewrite_function(definition, REWRITES)
    assert count == (becomes is not None)
    assert {each.reason for each in left} == REASONS.get(case, set())
    assert operations(definition) == (before if becomes is None else becomes)
    np.testing.assert_allclose(computed(definition, x), expected, rtol=0, atol=ROUNDED.get(case[0], 0))


def test_the_error_function_is_as_exact_as_float32_allows():
    far = [np.inf, -np.inf, 1e30, -1e30, 40.0, -5.0, 0.0]
    x = np.concatenate([np.linspace(-6, 6, 60_001), np.geomspace(1e-30, 6, 20_000), far]).astype(np.float32)
    definition = function(tf.math.erf, len(x))
    assert rewrite_function(definition, REWRITES) == 1
    got, expected = np.ravel(computed(definition, x)).astype(np.float64), np.array([math.erf(float(v)) for v in x])
    np.testing.assert_array_equal(got[-len(far) :], expected[-len(far) :].round())
    np.testing.assert_allclose(got, expected, rtol=4e-7, atol=0)
    assert np.isnan(computed(definition, np.full(len(x), np.nan, np.float32))).all()


@pytest.mark.parametrize("fires", [True, False])
def test_a_saved_model_is_written_anew_only_where_something_fires(fires, tmp_path):
    module = tf.Module()
    module.serve = tf.function(lambda x: tf.roll(x, 1, 1) if fires else x[:, 1:])
    tf.saved_model.save(module, str(tmp_path), module.serve.get_concrete_function(tf.TensorSpec((2, 3), name="x")))
    before, x = (tmp_path / "saved_model.pb").read_bytes(), random(2, 3)
    assert rewritten(tmp_path, REWRITES) == fires
    assert ((tmp_path / "saved_model.pb").read_bytes() != before) == fires
    (got,) = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](tf.constant(x)).values()
    np.testing.assert_array_equal(got, np.roll(x, 1, 1) if fires else x[:, 1:])


# --- the log


def test_the_log_names_a_rewrite_and_why_it_left_an_operation(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_NORMS_PASS_LOG", str(tmp_path / "log"))
    for case in ("bias and activation", "not: it has an activation"):
        given = CASES["fuse_conv3d_bias", case]
        given.rewrite(given.file)
    quantizer = CASES["equalizing", "not: an activation between"]
    quantizer.rewrite(quantizer.file)
    assert (tmp_path / "log").read_text().splitlines() == [
        "fuse_conv3d_bias: 2 nodes before, 1 behind",
        "fuse_conv3d_bias: 2 nodes before, 2 behind",
        "    left CONV_3D 'c': it has a bias or an activation already",
        "equalizing: looked",
        "    left CONV_2D 'c': it is an output, has an activation, or its kernel or bias is computed",
    ]


# --- sensitivity


@pytest.mark.parametrize(("hurt", "expected"), [(None, []), ("y", [2]), ("c", [])])
def test_a_layer_stays_in_float_where_eight_bits_lose_much_and_it_is_a_fifth_of_the_work(hurt, expected):
    """Two layers, the second with a fifth of the multiplications; the range of one may be far too wide."""
    ops = [
        Op("CONV_2D", ["x", "w", "b"], "c", (1, 4, 4, 4), {"padding": VALID}),
        Op("RELU", ["c"], "r", (1, 4, 4, 4)),
        Op("CONV_2D", ["r", "v", "d"], "y", (1, 4, 4, 1), {"padding": VALID}),
        Op("NEG", ["y"], "z", (1, 4, 4, 1)),
    ]
    given = {**WEIGHTS, "v": random(1, 1, 1, 4, seed=3), "d": random(1, seed=4)}
    content = flatbuffer({"x": (1, 4, 4, 4)}, given, ops, ["z"])
    x = random(1, 4, 4, 4)
    extremes, graph = seen(content, {"x": x}), Graph(content)
    ranges = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in extremes.low}
    ranges = {
        t: (1000 * low, 1000 * high) if graph.name(t) == hurt else (low, high) for t, (low, high) in ranges.items()
    }
    assert sensitivity.most_sensitive(content, ranges, [[x]]) == expected


def test_every_rewrite_has_a_case_that_fires_and_one_that_must_not():
    folder = Path(tflite.__file__).parent
    files = {path.stem for part in ("convert", "quantize") for path in (folder / part).glob("*.py")}
    # These call the rewrites, or only look; `sensitivity` chooses layers, and has a test of its own above.
    helpers = {"__init__", "saved_model_to_tflite", "explain_failure", "rewrite_saved_model"}
    helpers |= {"drop_unused", "calibrated", "calibration_look", "observer", "ranges", "sensitivity", "masked_scores"}
    # Tests of these stand in `test_quantizer`, in `test_weights_in_float` for what takes recurrent layers, and in
    # `test_stored_weights`.
    helpers |= {"kernel_rounding", "own_kernels", "range_choice", "size_in_floats", "loops", "narrow_weights"}
    cases = {**{name: case.becomes for name, case in CASES.items()}, **{name: f[1] for name, f in FUNCTIONS.items()}}
    for rewrite in files - helpers:
        fires = {becomes is not None for (module, _), becomes in cases.items() if module == rewrite}
        assert fires == {True, False}, f"{rewrite} needs a case that fires and one that must not"
    assert {module for module, _ in cases} == files - helpers
    assert {module for module, _ in REASONS} == files - helpers, "each needs a case with the reason for leaving it"
    assert all(cases[name] is None for name in REASONS)
