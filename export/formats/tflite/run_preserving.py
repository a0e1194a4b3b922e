"""Run a TFLite file once so that every tensor can be read afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ...worker.quiet import quiet_stderr
from .interpreter import open_interpreter

_INTEGERS = (np.int8, np.uint8, np.int16)


def run_keeping(content: bytes, arrays: dict[str, np.ndarray]) -> Interpreter:
    """The interpreter after one run on inputs by name; a delegate would keep its intermediate results to itself."""
    interpreter = open_interpreter(content, kernels="builtin", preserve=True)
    details = _inputs(interpreter)
    with quiet_stderr():
        for name, array in arrays.items():
            interpreter.resize_tensor_input(details[name]["index"], array.shape)
        interpreter.allocate_tensors()
        for name, array in arrays.items():
            interpreter.set_tensor(details[name]["index"], narrowed(details[name], array))
        interpreter.invoke()
    return interpreter


def _inputs(interpreter: Interpreter) -> dict[str, Any]:
    keys = list(interpreter.get_signature_list())
    if keys:
        details: dict[str, Any] = interpreter.get_signature_runner(keys[0]).get_input_details()
        return details
    return {detail["name"]: detail for detail in interpreter.get_input_details()}


def is_scaled(detail: dict[str, Any]) -> bool:
    """Whether the integers of a tensor stand for floats, by a scale and a zero point."""
    return np.dtype(detail["dtype"]) in _INTEGERS and detail["quantization"][0] > 0


def narrowed(detail: dict[str, Any], array: np.ndarray) -> np.ndarray:
    """Floats as the integers that a quantized tensor holds; the array itself for any other tensor."""
    if not is_scaled(detail) or array.dtype.kind != "f":
        return array
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    steps: np.ndarray = np.clip(np.round(array / scale) + zero_point, limits.min, limits.max)
    return steps.astype(detail["dtype"])


def widened(detail: dict[str, Any], values: np.ndarray) -> np.ndarray:
    """The floats that a quantized tensor's integers stand for; the values themselves of any other tensor."""
    if not is_scaled(detail):
        return values
    scale, zero_point = detail["quantization"]
    floats: np.ndarray = (values.astype(np.float32) - zero_point) * np.float32(scale)
    return floats
