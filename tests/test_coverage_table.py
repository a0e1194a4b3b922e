"""docs/coverage.md holds every public name of Keras, is what its data give, and says what an export does today."""

import inspect
import json
import re
import sys
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from coverage_rows import ROWS, not_in_a_model  # noqa: E402
from coverage_rows.coverage_cells import CELLS, build, outcome  # noqa: E402
from coverage_rows.coverage_page import page  # noqa: E402
from coverage_rows.raw_words import is_raw  # noqa: E402

import keras_norms  # noqa: E402

RECORD = json.loads((ROOT / "benchmarks" / "coverage.json").read_text())
BY_KEY = {row["key"]: row for row in RECORD["rows"]}

# Exported again by the test: small, of different kinds, some refused.
SAMPLE = (
    "convolutions: layers.Conv2D(16, 3, groups=2)(x) on x (8, 8, 8)",
    "convolutions: layers.Conv1DTranspose(16, 3, strides=2)(x) on x (10, 8)",
    "pooling: layers.AveragePooling3D(2)(x) on x (6, 6, 6, 4)",
    "shapes: layers.UpSampling2D(2, interpolation='bilinear')(x) on x (8, 8, 8)",
    "dense: layers.Dense(96)(x) on x (12,)",
    "norms: pack.GroupNormalization(4)(x) on x (8, 8, 8)",
    "attention: layers.AdditiveAttention()([x, y]) on x (10, 16), y (10, 16)",
    "activations: activations.softmax(x, axis=1) on x (10, 8)",
    "preprocessing: layers.Hashing(5)(x) on x (6,) int32 0 to 7",
    "elementwise: ops.log(x) on x (10, 8) 0.1 to 4",
    "reductions: ops.argmax(x, axis=1) on x (10, 8)",
    "matrices: ops.eig(ops.matmul(x, ops.swapaxes(x, 1, 2)) + 4 * np.eye(4, dtype='float32')) on x (4, 4)",
)
SEEN = tuple(cell for cell in CELLS if cell.batch == 1 and cell.mode is None)

# The table is of the Keras that its record names; another has other names.
of_this_keras = pytest.mark.skipif(
    keras.__version__ != RECORD["versions"]["keras"], reason=f"the table is of Keras {RECORD['versions']['keras']}"
)


def public(module, prefix=""):
    """Name: function or class, of what a module says it has."""
    names = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {prefix + name: value for name, value in names.items() if callable(value) and not inspect.ismodule(value)}


NAMESPACES = {
    "layers": public(keras.layers),
    "activations": public(keras.activations),
    "ops": public(keras.ops) | public(keras.ops.image, "image."),
    "pack": {name: getattr(keras_norms, name) for name in keras_norms.__all__},
}
WHY_NOT = {
    "layers": not_in_a_model.LAYERS,
    "activations": not_in_a_model.ACTIVATIONS,
    "ops": not_in_a_model.OPS,
    "pack": {},
}


def used(space):
    """The public names of a namespace that rows use, aliases too."""
    names = NAMESPACES[space]
    written = {name.partition(".")[2] for row in ROWS for name in row.public_names if name.startswith(f"{space}.")}
    unknown = sorted(written - set(names))
    assert not unknown, f"rows use {unknown}, which Keras does not have"
    things = [names[name] for name in written]
    return {name for name, value in names.items() if any(value is thing for thing in things)}


@of_this_keras
@pytest.mark.parametrize("space", NAMESPACES)
def test_every_public_name_is_a_row_or_has_a_reason(space):
    names, why_not = set(NAMESPACES[space]), set(WHY_NOT[space])
    if space == "pack":  # the tools of training are no layers
        names = {name for name in names if inspect.isclass(NAMESPACES[space][name])}
        names = {name for name in names if issubclass(NAMESPACES[space][name], keras.Layer)}
    left = sorted(names - used(space) - why_not)
    assert not left, f"give these a row in benchmarks/coverage_rows/, or a reason in not_in_a_model.py: {left}"
    assert not why_not - names, f"not_in_a_model.py has names that Keras does not: {sorted(why_not - names)}"
    assert not why_not & used(space), f"these have a row and a reason not to: {sorted(why_not & used(space))}"


def test_the_record_has_every_row_in_float32():
    keys = [row.key for row in ROWS]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(BY_KEY), "run `python benchmarks/coverage_table.py`"
    cells = {cell.key for cell in CELLS}
    unknown = [key for key, row in BY_KEY.items() if set(row["cells"]) - cells]
    assert not unknown
    float32 = {cell.key for cell in CELLS if cell.mode is None}
    without = [key for key, row in BY_KEY.items() if not float32 <= set(row["cells"])]
    assert not without, "run `python benchmarks/coverage_table.py --only float32`"


def test_the_page_is_what_the_record_gives():
    assert (ROOT / "docs" / "coverage.md").read_text() == page(RECORD), "run benchmarks/coverage_table.py --render"


# These say it in raw words today; each leaves this list when it is mended.
RAW_TODAY = (
    "backbones: SAM",
    "reductions: ops.nanmedian(x) on x (10, 8)",
    "shapes: layers.CenterCrop(5, 4)(x) on x (free, free, 8)",
)


def test_no_refusal_is_in_the_words_of_a_converter():
    results = [(key, cell, result) for key, row in BY_KEY.items() for cell, result in row["cells"].items()]
    raw = [
        (key, cell) for key, cell, result in results if result["verdict"] == "raw" or is_raw(result.get("words", ""))
    ]
    assert sorted({key for key, _ in raw}) == sorted(RAW_TODAY)


@pytest.mark.parametrize(
    ("words", "raw"),
    [
        ("TFLite has no builtin operation for Atan in 'angle'. Export to .onnx.", False),
        (
            "Output 'y' differs from the model by 1.3e-01 of its scale on random input in ONNX Runtime, optimized.",
            False,
        ),
        ("error: failed to legalize operation 'tf.Erf' that was explicitly marked illegal", True),
        ('loc("model/layer/add"): cannot be converted', True),
        ("Traceback (most recent call last)", True),
        ("[ONNXRuntimeError] : 1 : FAIL : Load model failed", True),
        ("a fault of its own", True),
        ("The converter's process ended with code -11 before it answered", True),
        ("ValueError: Dimension must be 3", True),
    ],
)
def test_what_is_raw(words, raw):
    assert is_raw(words) is raw


@pytest.mark.runtime
@of_this_keras
@pytest.mark.parametrize("key", SAMPLE, ids=lambda key: re.sub(r"\W+", "-", key)[:40])
def test_a_sample_is_as_the_table_says(key):
    row = next(row for row in ROWS if row.key == key)
    model = build(row)
    for cell in SEEN:
        found, told = outcome(row, model, cell), BY_KEY[key]["cells"][cell.key]
        assert found["verdict"] == told["verdict"], found
        assert found.get("words") == told.get("words")
