"""The formats that a model can be exported to, by the suffix of the file.

A target is a package whose module `NAME_format` has
    NAME, MODES, CALIBRATED, CHANNELS_FIRST         what reports call it; the ways of quantization it offers, those of
                                                    them that calibration data serve; the layout its convolutions want
    check(options)                                  refuse what it cannot do, before any work
    convert(saved_model, path, signature, options)  write the artifact; returns warnings
    runners(path)                                   {label: Runner}, each way that a user's runtime may run it
    op_counts(path)                                 {operation: count} of the file
    quantized_as(path)                              the mode a file is quantized in, or None
    tensors(path, arrays)                           (name, value) of what its operations compute
    write_metadata(path, entries)                   strings by name, kept in the file
    read_metadata(path)
It is imported when it is asked for: importing `keras_norms.export` loads no converter and no runtime.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from ..errors import ExportError

TARGETS: tuple[tuple[str, str], ...] = (
    (".tflite", "tflite"),
    (".onnx", "onnx"),
)


def target_of(path: Path) -> ModuleType:
    """The target module for the suffix of `path`.

    Raises:
        ExportError: the suffix names no format, or the format's libraries are not installed.
    """
    modules = dict(TARGETS)
    if path.suffix not in modules:
        raise ExportError(
            f"The suffix of a file names its format: one of {', '.join(modules)}; got '{path.name}'. Rename it."
        )
    try:
        return importlib.import_module(f".{modules[path.suffix]}.{modules[path.suffix]}_format", __package__)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{path.suffix} files need the package '{error.name}'. Install it with pip install 'keras-norms[export]'."
        ) from error
