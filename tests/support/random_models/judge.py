"""Whether an exported file is right, judged without the package: by plain LiteRT or ONNX Runtime, and Keras in float64.

The error of an output is the smaller of max |file - float64| and max |file - float32| as a share of max |float64|, over
all its numbers, for each of the ordinary inputs on which Keras runs the model. A rounding step of what the output
reaches on any of them is no error: where GELU is 3e-25 for one input, for example. A file is right up to 1e-4; or,
where rounding moves the model itself further, up to ten times what Keras in float32 is off from float64. Where
TensorFlow has no kernel for float64, the model in float32 stands for it, with every weight and input moved by one
rounding step.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .generate import outputs_of
from .inputs import Arrays, ordinary_inputs
from .recipe import Recipe, float64

TOLERANCE, TIMES_ROUNDING = 1e-4, 10.0
STEP = float(np.finfo("float32").eps)


@dataclass(frozen=True)
class Expected:
    """What a model says to its ordinary inputs, in both precisions."""

    inputs: list[Arrays]
    single: list[Arrays]
    double: list[Arrays]

    @classmethod
    def of(cls, recipe: Recipe, model: keras.Model) -> Expected:
        inputs, single = [], []
        for arrays in ordinary_inputs(recipe):
            with suppress(tf.errors.OpError, ValueError):  # shapes that Keras calls possible and cannot compute
                single.append(outputs_of(model, arrays))
                inputs.append(arrays)
        try:
            double = _in_float64(recipe, model, inputs)
        except (tf.errors.OpError, TypeError):  # MaxPool3D and channels first have no such kernels
            double = _moved_by_a_step(recipe, model, inputs)
        return cls(inputs, single, double)


def _in_float64(recipe: Recipe, model: keras.Model, inputs: list[Arrays]) -> list[Arrays]:
    with float64():
        twin = recipe.build()
        twin.set_weights(model.get_weights())
        wide = [[x.astype(np.float64) if x.dtype.kind == "f" else x for x in arrays] for arrays in inputs]
        return [outputs_of(twin, arrays) for arrays in wide]


def _moved_by_a_step(recipe: Recipe, model: keras.Model, inputs: list[Arrays]) -> list[Arrays]:
    rng = np.random.default_rng(recipe.seed)

    def moved(x: np.ndarray) -> np.ndarray:
        return np.nextafter(x, rng.choice([-np.inf, np.inf], x.shape).astype(x.dtype)) if x.dtype.kind == "f" else x

    twin = recipe.build()
    twin.set_weights([moved(x) for x in model.get_weights()])
    return [outputs_of(twin, [moved(x) for x in arrays]) for arrays in inputs]


def judge(path: Path, expected: Expected) -> str | None:
    """What is wrong with the file at `path`, or None if it is right."""
    run = _run_onnx if path.suffix == ".onnx" else _run_tflite
    if not expected.inputs:
        return "Keras runs the model on no input"
    reached = [max(float(np.abs(y).max(initial=0.0)) for y in ys) for ys in zip(*expected.double, strict=True)]
    for i, arrays in enumerate(expected.inputs):
        try:
            got = run(path, arrays)
        except Exception as error:  # whatever a runtime raises
            return f"input {i} does not run: {type(error).__name__}: {str(error)[:300]}"
        wrong = difference(got, expected.single[i], expected.double[i], reached)
        if wrong is not None:
            return f"input {i}: {wrong}"
    return None


def difference(got: Arrays, single: Arrays, double: Arrays, reached: list[float]) -> str | None:
    """The first output that is wrong, and by how much; each of them goes up to what it `reached`."""
    if len(got) != len(single):
        return f"{len(got)} outputs instead of {len(single)}"
    for k, (y, near, exact) in enumerate(zip(got, single, double, strict=True)):
        if y.shape != near.shape:
            return f"output {k} has shape {y.shape} instead of {near.shape}"
        y, near, exact = (values.astype(np.float64) for values in (y, near, exact))
        scale = max(float(np.abs(exact).max()), 1e-30)
        own = float(np.abs(near - exact).max()) / scale
        off = min(float(np.abs(y - other).max()) for other in (near, exact))
        error = off / scale if not off <= STEP * reached[k] else 0.0
        if not error <= max(TOLERANCE, TIMES_ROUNDING * own):  # a NaN is an error too
            return f"output {k} is off by {error:.1e} of its scale, Keras itself by {own:.1e}"
    return None


def _run_onnx(path: Path, arrays: Arrays) -> Arrays:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return [np.asarray(y) for y in session.run(None, dict(zip(names, arrays, strict=True)))]


def _run_tflite(path: Path, arrays: Arrays) -> Arrays:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    inputs = interpreter.get_input_details()
    for detail, x in zip(inputs, arrays, strict=True):
        if tuple(detail["shape"]) != x.shape:
            interpreter.resize_tensor_input(detail["index"], x.shape, strict=True)
    interpreter.allocate_tensors()
    for detail, x in zip(inputs, arrays, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [np.asarray(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]
