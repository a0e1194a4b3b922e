"""The formats that a model can be exported to, by the suffix of the file.

A format is imported when it is asked for: importing `keras_norms.export` loads no converter and no runtime.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..errors import ExportError
from .protocol import Format

# Suffix, module below this package; the module's FORMAT satisfies `protocol.Format`.
FORMATS: tuple[tuple[str, str], ...] = (
    (".tflite", "tflite.tflite_format"),
    (".onnx", "onnx.onnx_format"),
)


def check_suffix(path: Path) -> str:
    """The module of the format that the suffix of `path` names.

    Raises:
        ExportError: If the suffix names no format.
    """
    modules = dict(FORMATS)
    if path.suffix not in modules:
        raise ExportError(
            f"The suffix of a file names its format: one of {', '.join(modules)}; got '{path.name}'. Rename it."
        )
    return modules[path.suffix]


def format_of(path: Path) -> Format[Any]:
    """The format that the suffix of `path` names.

    Raises:
        ExportError: If the suffix names no format, or the format's libraries are not installed.
    """
    module = check_suffix(path)
    try:
        found: Format[Any] = importlib.import_module(f".{module}", __package__).FORMAT
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{path.suffix} files need the package '{error.name}'. Install it with pip install 'keras-norms[export]'."
        ) from error
    return found
