"""What a file computes, by a plain interpreter or session, without the package; and how far that is from Keras."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Arrays = list[np.ndarray]
IDS = 10


class NotRunnableError(Exception):
    """If no runtime runs the file, or if its shapes are not the model's."""


def ordinary_inputs(model: keras.Model, rows: int, seed: int) -> Arrays:
    """Rows of N(0, 1), and ids of embeddings."""
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=(rows, *x.shape[1:])).astype("float32")
        if x.dtype.startswith("float")
        else rng.integers(0, IDS, (rows, *x.shape[1:])).astype(x.dtype)
        for x in model.inputs
    ]


def keras_outputs(model: keras.Model, arrays: Arrays) -> dict[str, np.ndarray]:
    """The model's outputs by the names of their layers."""
    tensors = [keras.ops.convert_to_tensor(x) for x in arrays]
    outputs = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    names = [y._keras_history.operation.name for y in model.outputs]
    return dict(zip(names, map(keras.ops.convert_to_numpy, keras.tree.flatten(outputs)), strict=True))


def file_outputs(model: keras.Model, path: Path, arrays: Arrays) -> list[dict[str, np.ndarray]]:
    """What each plain runtime makes of the rows, by the names of the outputs.

    Raises:
        NotRunnableError: If it does not run, or if an app could not give it the model's inputs.
    """
    feeds = dict(zip([x.name for x in model.inputs], arrays, strict=True))
    try:
        return _litert(model, path, feeds) if path.suffix == ".tflite" else _onnx(path, feeds)
    except Exception as error:
        raise NotRunnableError(str(error)) from error


def _litert(model: keras.Model, path: Path, feeds: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    found = []
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()  # as an app does
        details = interpreter.get_signature_runner().get_input_details()
        for x in model.inputs:
            if tuple(details[x.name]["shape"][1:]) != tuple(x.shape[1:]):
                raise ValueError(f"{x.name} is allocated as {details[x.name]['shape']}")
        rows = len(next(iter(feeds.values())))
        fixed = all(details[x.name]["shape_signature"][0] > 0 for x in model.inputs)
        size = int(details[model.inputs[0].name]["shape"][0]) if fixed else rows
        parts = [_run(interpreter, {name: x[i : i + size] for name, x in feeds.items()}) for i in range(0, rows, size)]
        found.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return found


def _run(interpreter: Interpreter, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(y) for name, y in interpreter.get_signature_runner()(**feeds).items()}


def _onnx(path: Path, feeds: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [dict(zip([y.name for y in session.get_outputs()], session.run(None, feeds), strict=True))]


def apart(expected: dict[str, np.ndarray], found: list[dict[str, np.ndarray]]) -> tuple[float, dict[str, float]]:
    """The largest difference as a share of an output's scale, and the least signal to noise ratio of each output."""
    worst, ratios = 0.0, dict.fromkeys(expected, np.inf)
    for got in found:
        for name, y in expected.items():
            other = got.get(name)
            if other is None or other.shape != y.shape:
                return np.inf, dict.fromkeys(expected, -np.inf)
            worst = max(worst, _share(y, other))
            ratios[name] = min(ratios[name], _sqnr_db(y, other))
    return worst, ratios


def _share(y: np.ndarray, other: np.ndarray) -> float:
    difference = float(np.abs(y.astype(np.float64) - other).max())
    return difference / max(float(np.abs(y).max()), 1e-30) if np.isfinite(difference) else np.inf


def _sqnr_db(y: np.ndarray, other: np.ndarray) -> float:
    noise = float(np.mean(np.square(y.astype(np.float64) - other)))
    if not np.isfinite(noise):
        return -np.inf
    return np.inf if noise == 0 else float(10 * np.log10(np.mean(np.square(y.astype(np.float64))) / noise))
