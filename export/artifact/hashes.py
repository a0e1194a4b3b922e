"""Hashes that tell whether a file, a model or an array is still the same, and the versions of the packages involved."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np

# The packages that have a part in an export. What is absent is left out.
_PACKAGES = ("keras-norms", "keras", "numpy", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")
_UNSTEADY = ("compile_config", "shared_object_id", "build_config")


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def artifact_sha256(path: Path) -> str:
    """The hash of an artifact, together with the data that an ONNX file of more than 2 GB keeps beside itself."""
    data = path.with_name(f"{path.name}.data")
    if not data.is_file():
        return file_sha256(path)
    return hashlib.sha256(f"{file_sha256(path)} {file_sha256(data)}".encode()).hexdigest()


def array_sha256(array: np.ndarray) -> str:
    head = f"{array.dtype.name} {list(array.shape)} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def array_records(arrays: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    """The shape and the hash of each array, as certificates keep them."""
    return [{"shape": list(array.shape), "sha256": array_sha256(array)} for array in arrays]


def weights_sha256(model: keras.Model) -> str:
    """The hash of the values, shapes and dtypes of the weights, in their order; names do not count."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(array_sha256(keras.ops.convert_to_numpy(weight.value)).encode())
    return digest.hexdigest()


def config_sha256(model: keras.Model) -> str | None:
    """The hash of the architecture; None where a layer's `get_config` raises."""
    try:
        config = json.dumps(_steady(keras.saving.serialize_keras_object(model)), sort_keys=True, default=str)
    except Exception:  # whatever a layer's own get_config raises
        return None
    return hashlib.sha256(config.encode()).hexdigest()


def model_sha256(model: keras.Model) -> str:
    """The hash of architecture and weights together."""
    return hashlib.sha256(f"{config_sha256(model)} {weights_sha256(model)}".encode()).hexdigest()


def _steady(config: Any) -> Any:
    """A configuration as JSON gives it back, without what depends on the session or on training."""
    if isinstance(config, dict):
        return {str(key): _steady(value) for key, value in config.items() if key not in _UNSTEADY}
    if isinstance(config, (list, tuple)):
        return [_steady(value) for value in config]
    return config


def versions() -> dict[str, str]:
    """The versions of Python and of every package that has a part in an export."""
    found = {package: number for package in _PACKAGES if (number := _version(package)) is not None}
    return {"python": platform.python_version(), **found}


@cache  # read from a file, and for every export again
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
