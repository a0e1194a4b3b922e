"""Weights that lie in a file beside the .onnx file, since one protobuf cannot hold them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx

from ...errors import ExportError, VerificationError

DATA_HASH = "keras_norms.data_sha256"


def data_path(path: Path) -> Path:
    """Where the weights of a model over 2 GB lie."""
    return path.with_name(f"{path.name}.data")


def check_data(path: Path) -> None:
    """Refuse a file whose weights beside it are gone or are not those that it was verified with."""
    expected, data = properties(path).get(DATA_HASH), data_path(path)
    if expected is None:
        return
    if not data.is_file():
        raise ExportError(f"'{path}' keeps its weights in '{data.name}', which is not beside it. Move both together.")
    with data.open("rb") as file:
        found = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read())
    if found.hexdigest() != expected:
        raise VerificationError(
            f"'{data}' is not the file that '{path.name}' was verified with. Export the model again."
        )


def properties(path: Path) -> dict[str, str]:
    """The file's `metadata_props`; nothing for a file that cannot be read, which the runtime will say better."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf's own errors
        return {}
    return {prop.key: prop.value for prop in model.metadata_props}
