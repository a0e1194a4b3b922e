"""The intermediate results of a TFLite file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .flex_runner import FlexRunner, flex_ops
from .interpreter import running_operations
from .run_preserving import run_keeping, widened


def tensors(path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """(name, value) of every result of every operation on one set of inputs, as floats, in the order they run."""
    if flex_ops(path):
        return FlexRunner(path).tensors(arrays)
    interpreter = run_keeping(path.read_bytes(), arrays)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    indices = [int(i) for op in running_operations(interpreter) for i in op["outputs"] if i in details]
    values = [(details[i]["name"], widened(details[i], interpreter.get_tensor(i))) for i in indices]
    return [(name, value) for name, value in values if value.dtype.kind == "f"]
