"""The values between the operations of an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx

from .runtime import open_session


def tensors(path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """(name, value) of every float result of every operation, in the order they run, on one set of inputs."""
    model = onnx.load(os.fspath(path))
    given = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    session = open_session(model.SerializeToString(), "DISABLE_ALL", threads=0)
    values = zip(names, session.run(names, arrays), strict=True)
    return [(name, value) for name, value in values if isinstance(value, np.ndarray) and value.dtype.kind == "f"]
