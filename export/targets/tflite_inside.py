"""What stands inside a TFLite file: the values between its operations, and what it says about itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from .tflite_flex import FlexRunner, flex_ops
from .tflite_keeping import run_keeping, widened

_ENTRY = b"keras_norms"


def tensors(path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """(name, value) of every result of every operation, as floats, in the order they run, on one set of inputs."""
    if flex_ops(path):
        return FlexRunner(path).tensors(arrays)
    interpreter = run_keeping(path.read_bytes(), arrays)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    indices = [int(i) for op in interpreter._get_ops_details() for i in op["outputs"] if i in details]
    values = [(details[i]["name"], widened(details[i], interpreter.get_tensor(i))) for i in indices]
    return [(name, value) for name, value in values if value.dtype.kind == "f"]


def write_metadata(path: Path, entries: dict[str, str]) -> None:
    """Put `entries` into the file, in the place of any that it has."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    text = json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()
    content = np.frombuffer(text, np.uint8)
    model.metadata = list(model.metadata or [])
    found = next((entry for entry in model.metadata if entry.name == _ENTRY), None)
    if found is None:
        found = schema.MetadataT()
        found.name, found.buffer = _ENTRY, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata.append(found)
    model.buffers[found.buffer].data = content
    model.description = f"{entries['name']}, exported by keras-norms".encode()
    flatbuffer_utils.write_model(model, os.fspath(path))


def read_metadata(path: Path) -> dict[str, str]:
    """The entries of the file; none for another tool's."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    for entry in model.metadata or []:
        if entry.name == _ENTRY:
            found = json.loads(bytes(model.buffers[entry.buffer].data))
            return {str(key): str(value) for key, value in found.items()}
    return {}
