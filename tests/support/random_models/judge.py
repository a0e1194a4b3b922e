"""Whether an exported file is right, judged without the package: by plain LiteRT or ONNX Runtime, and Keras in float64.

The error of an output is the smaller of max |file - float64| and max |file - float32| as a share of max |float64|, over
all its numbers, for each of the ordinary inputs on which Keras runs the model. A rounding step of what the output
reaches on any of them is no error: where GELU is 3e-25 for one input, for example. Where Keras itself overflows, in
float32, nothing is compared. A file is right up to 1.5e-4, half as much again as it was verified to on inputs of other
kinds and draws; or, where rounding moves the model itself further, up to ten times what Keras in float32 is off from
float64, or from itself with every weight, input and result of a layer moved by one rounding step, in the worst of four
draws. Where TensorFlow has no kernel for float64, weights and inputs moved so stand for it. An input on which a layer
gives more than 1e30 shows nothing: XNNPACK's sigmoid is NaN beyond 1e33.
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

TOLERANCE, TIMES_ROUNDING, DRAWS = 1.5e-4, 10.0, 4
LARGEST = 1e30
STEP = float(np.finfo("float32").eps)


@dataclass(frozen=True)
class Expected:
    """What a model says to its ordinary inputs, in both precisions."""

    recipe: Recipe
    model: keras.Model
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
        return cls(recipe, model, inputs, single, double)

    def shows_nothing(self, i: int) -> bool:
        """Whether a layer gives larger numbers for the input `i` than kernels are written for."""
        nodes = [node for nodes in self.model._nodes_by_depth.values() for node in nodes]
        inside = keras.Model(self.model.inputs, [y for node in nodes for y in node.outputs])
        return any(_largest(y.astype(np.float64)) > LARGEST for y in outputs_of(inside, self.inputs[i]))

    def rounding(self, i: int) -> list[float]:
        """How far rounding steps of weights, inputs and the results of layers move each output for the input `i`."""
        arrays, single = self.inputs[i], self.single[i]
        moved = [_with_results_moved(self.recipe, self.model, arrays, draw) for draw in range(DRAWS)]
        off = [[_largest_number(y - near) for y, near in zip(ys, single, strict=True)] for ys in moved]
        return [max(draws) for draws in zip(*off, strict=True)]


def _in_float64(recipe: Recipe, model: keras.Model, inputs: list[Arrays]) -> list[Arrays]:
    with float64():
        twin = recipe.build()
        twin.set_weights(model.get_weights())
        wide = [[x.astype(np.float64) if x.dtype.kind == "f" else x for x in arrays] for arrays in inputs]
        return [outputs_of(twin, arrays) for arrays in wide]


class _Step:
    """Moves each number to one of its neighbours."""

    def __init__(self, *seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if x.dtype.kind != "f":
            return x
        return np.nextafter(x, self._rng.choice([-np.inf, np.inf], x.shape).astype(x.dtype))


def _moved_by_a_step(recipe: Recipe, model: keras.Model, inputs: list[Arrays]) -> list[Arrays]:
    moved, twin = _Step(recipe.seed), recipe.build()
    twin.set_weights([moved(x) for x in model.get_weights()])
    return [outputs_of(twin, [moved(x) for x in arrays]) for arrays in inputs]


def _with_results_moved(recipe: Recipe, model: keras.Model, arrays: Arrays, draw: int) -> Arrays:
    moved, twin = _Step(recipe.seed, draw), recipe.build()
    twin.set_weights([moved(x) for x in model.get_weights()])

    def operation_fn(operation):
        def call(*args, **kwargs):
            return keras.tree.map_structure(lambda y: tf.constant(moved(y.numpy())), operation(*args, **kwargs))

        return call

    outputs = twin._run_through_graph([tf.constant(moved(x)) for x in arrays], operation_fn=operation_fn)
    return [y.numpy() for y in keras.tree.flatten(outputs)]


def judge(path: Path, expected: Expected) -> str | None:
    """What is wrong with the file at `path`, or None if it is right."""
    run = _run_onnx if path.suffix == ".onnx" else _run_tflite
    if not expected.inputs:
        return "Keras runs the model on no input"
    reached = [max(map(_largest_number, ys)) for ys in zip(*expected.double, strict=True)]
    for i, arrays in enumerate(expected.inputs):
        try:
            got = run(path, arrays)
        except Exception as error:  # whatever a runtime raises
            return f"input {i} does not run: {type(error).__name__}: {str(error)[:300]}"
        what = got, expected.single[i], expected.double[i], reached
        if difference(*what) is not None:
            wrong = difference(*what, expected.rounding(i))
            if wrong is not None and not expected.shows_nothing(i):
                return f"input {i}: {wrong}"
    return None


def difference(
    got: Arrays, single: Arrays, double: Arrays, reached: list[float], rounding: list[float] | None = None
) -> str | None:
    """The first output that is wrong, and by how much; each goes up to what it `reached`, and rounds by `rounding`."""
    if len(got) != len(single):
        return f"{len(got)} outputs instead of {len(single)}"
    for k, (y, near, exact) in enumerate(zip(got, single, double, strict=True)):
        if y.shape != near.shape:
            return f"output {k} has shape {y.shape} instead of {near.shape}"
        known = np.isfinite(near) & np.isfinite(exact)
        y, near, exact = (values[known].astype(np.float64) for values in (y, near, exact))
        scale = max(_largest(exact), 1e-30)
        own = max(_largest(near - exact), rounding[k] if rounding else 0.0) / scale
        off = min(_largest(y - other) for other in (near, exact))
        error = off / scale if not off <= STEP * reached[k] else 0.0
        if not error <= max(TOLERANCE, TIMES_ROUNDING * own):  # a NaN is an error too
            return f"output {k} is off by {error:.1e} of its scale, Keras itself by {own:.1e}"
    return None


def _largest(y: np.ndarray) -> float:
    return float(np.abs(y).max(initial=0.0))


def _largest_number(y: np.ndarray) -> float:
    return _largest(y[np.isfinite(y)])


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
