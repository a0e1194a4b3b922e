"""What an ONNX file says about itself: strings by name."""

from __future__ import annotations

import os
from pathlib import Path

import onnx


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
