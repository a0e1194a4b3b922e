"""What stands inside an ONNX file: the values between its operations, and what it says about itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def tensors(path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """(name, value) of every float result of every operation, in the order they run, on one set of inputs."""
    model = onnx.load(os.fspath(path))
    given = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = zip(names, session.run(names, arrays), strict=True)
    return [(name, value) for name, value in values if isinstance(value, np.ndarray) and value.dtype.kind == "f"]


def write_metadata(path: Path, entries: dict[str, str]) -> None:
    """Put `entries` into the file's `metadata_props`, in the place of any of the same keys."""
    model = onnx.load(os.fspath(path), load_external_data=False)
    kept = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, dict(sorted({**kept, **entries}.items())))
    path.write_bytes(model.SerializeToString(deterministic=True))


def read_metadata(path: Path) -> dict[str, str]:
    """All entries of the file."""
    model = onnx.load(os.fspath(path), load_external_data=False)
    return {prop.key: prop.value for prop in model.metadata_props}
