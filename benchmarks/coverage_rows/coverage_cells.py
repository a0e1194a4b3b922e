"""One row in one format: built, exported, and what came of it in the words that a user gets."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import activations, layers, ops
from keras_norms.export import ExportError, FoldError, VerificationError, to_onnx, to_tflite

import keras_norms as pack

from .coverage_row import Row
from .raw_words import is_raw

EXPORTS = {"tflite": to_tflite, "onnx": to_onnx}
EXPORTED, REFUSED, RAW, NOTHING = "exported", "refused", "raw", "nothing to quantize"
# Modes that change weights alone, by format, and the kinds of rows whose code has all the weights of a model.
OF_WEIGHTS = (("tflite", "float16"), ("tflite", "dynamic"), ("onnx", "dynamic"))
PLAIN = ("pooling", "merging", "activations", "elementwise", "reductions", "arrays", "loops")
EXAMPLES = 32


@dataclass(frozen=True)
class Cell:
    """A column of the table: `batch` is None where it stays free, `mode` is None in float32."""

    format: str
    batch: int | None
    mode: str | None

    @property
    def key(self) -> str:
        return f"{self.format} {'free' if self.batch is None else 'fixed'} {self.mode or 'float32'}"


CELLS = tuple(
    Cell(form, batch, mode)
    for batch, mode in ((1, None), (None, None), (1, "float16"), (1, "dynamic"), (1, "int8"))
    for form in EXPORTS
)


def build(row: Row) -> keras.Model:
    """The model of a row, with seeded weights of which none is still at a value that hides its use."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    if row.make is not None:
        return row.make()
    inputs = {
        name: keras.Input(given.shape, batch_size=given.batch, dtype=given.dtype, name=name)
        for name, given in row.inputs
    }
    names = {"activations": activations, "keras": keras, "layers": layers, "np": np, "ops": ops, "pack": pack}
    outputs = eval(row.code, {**names, **inputs})  # the table's own code
    return _moved(keras.Model(list(inputs.values()), outputs))


def _moved(model: keras.Model) -> keras.Model:
    """The model with biases, scales and statistics away from 0 and 1, which would hide what is done with them."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if not variable.dtype.startswith("float"):
            continue
        if variable.path.endswith("variance"):
            variable.assign(variable * rng.uniform(0.5, 2.0, variable.shape))
        elif len(variable.shape) < 2:
            variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    return model


def drawn(row: Row, model: keras.Model) -> dict[str, Any]:
    """Seeded examples for the inputs of a row: to calibrate on, and to compare on where values are limited."""
    rng = np.random.default_rng(1)
    if row.make is None:
        return {name: given.values(rng, EXAMPLES) for name, given in row.inputs}
    return {tensor.name: _example(tensor, rng) for tensor in model.inputs}


def _example(tensor: Any, rng: Any) -> Any:
    shape = (EXAMPLES // 4, *(16 if n is None else n for n in tensor.shape[1:]))
    if tensor.dtype.startswith("int"):
        return rng.integers(0, 2 if "mask" in tensor.name or "segment" in tensor.name else 50, shape).astype(
            tensor.dtype
        )
    return rng.normal(size=shape).astype(tensor.dtype)


def outcome(row: Row, model: keras.Model, cell: Cell) -> dict[str, Any]:
    """What came of the export, as a line of the file of results."""
    fixed = any(given.batch for _, given in row.inputs)  # by the model itself
    if (cell.format, cell.mode) in OF_WEIGHTS and row.kind in PLAIN and not _has_weights(row, model):
        return {"verdict": NOTHING}
    options: dict[str, Any] = {"batch_size": None if fixed else cell.batch, "quantize": cell.mode}
    data = drawn(row, model)
    if cell.mode == "int8":
        options["calibration"] = data
    if any(given.limited for _, given in row.inputs):
        options["inputs"] = data
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        try:
            report = EXPORTS[cell.format](model, Path(folder) / f"m.{cell.format}", **options)
        except (ExportError, VerificationError, FoldError) as error:
            words = str(error).replace(f"{folder}/", "").replace(f"{Path(__file__).parents[2]}/", "")
            found = {"verdict": RAW if is_raw(words) else REFUSED, "words": words}
        except Exception as error:  # none of these should reach a user
            found = {"verdict": RAW, "words": f"{type(error).__name__}: {str(error)[:600]}"}
        else:
            outputs = report.verification.outputs.values()
            found = {"verdict": EXPORTED, "relative": _short(report.verification.relative)}
            found["db"] = _decibels(min(output.sqnr_db for output in outputs))
            found["float"] = any("nothing was quantized" in warning for warning in report.warnings)
    return {**found, "seconds": round(time.perf_counter() - begin, 2)}


def _has_weights(row: Row, model: keras.Model) -> bool:
    return "np." in row.code or any(variable.dtype.startswith("float") for variable in model.variables)


def _short(error: float) -> float:
    return float(f"{error:.1e}")


def _decibels(value: float) -> float | None:
    """The signal to noise ratio; None where there is no noise."""
    return None if math.isinf(value) else round(value, 1)
