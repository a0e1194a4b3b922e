"""Run a TFLite file once so that every tensor can be read afterwards."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ...worker.quiet import quiet_stderr

_INTEGERS = (np.int8, np.uint8, np.int16)


def run_keeping(content: bytes, arrays: dict[str, np.ndarray]) -> Interpreter:
    """The interpreter after one run on inputs by name, without delegates, which would keep results to themselves."""
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")  # that all tensors are kept is the point here
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        details = _inputs(interpreter)
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


def is_scaled(detail: dict) -> bool:
    """Whether the integers of a tensor stand for floats."""
    return np.dtype(detail["dtype"]) in _INTEGERS and detail["quantization"][0] > 0


def narrowed(detail: dict, array: np.ndarray) -> np.ndarray:
    """Floats as the integers that the tensor takes; anything else as it is."""
    if not is_scaled(detail) or array.dtype.kind != "f":
        return array
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(array / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def widened(detail: dict, values: np.ndarray) -> np.ndarray:
    """The floats that a tensor's integers stand for; anything else as it is."""
    if not is_scaled(detail):
        return values
    scale, zero_point = detail["quantization"]
    return (values.astype(np.float32) - zero_point) * np.float32(scale)
