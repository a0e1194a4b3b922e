"""The user's own Python file, which `--import` runs: the classes and functions that a model file names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..errors import ExportError

_NAME = "keras_norms_imported"  # no name that it could hide


def custom_objects(path: Path | None) -> dict[str, Any]:
    """What the file defines, by its names; nothing where there is no file.

    Raises:
        ExportError: If it is no file of Python, or does not run.
    """
    if path is None:
        return {}
    spec = importlib.util.spec_from_file_location(_NAME, path)
    if path.suffix != ".py" or not path.is_file() or spec is None or spec.loader is None:
        raise ExportError(f"--import takes a file of Python, and '{path}' is none. Check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise ExportError(f"'{path}' does not run: {type(error).__name__}: {error}") from error
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == _NAME
    }
