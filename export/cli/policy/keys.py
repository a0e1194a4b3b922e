"""Every key that a policy may have, table by table. docs/check.md has a row for each; a test compares the two."""

from __future__ import annotations

from ..arguments import MODES
from .value_kinds import (
    Key,
    choice,
    count,
    duration,
    file,
    glob,
    globs,
    latency,
    number,
    share,
    size,
    switch,
    text,
)

SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx"}

# How the model file is read: as the options of the command.
READING = {
    "import": Key(*file(".py")),
    "signature": Key(*text()),
    "unsafe": Key(*switch()),
    "timeout": Key(*duration()),
}
TOP = {"models": Key(*globs()), "exclude": Key(*globs()), **READING}
NORMS = {"must-fold": Key(*switch())}  # and the table `may-stay`: a layer, or a pattern, and the reason
EXPORT = {
    "format": Key(*choice(*SUFFIXES)),
    "models": Key(*globs(), place="base"),
    "skip": Key(*switch(), place="override"),
    "artifact": Key(*text()),
    "certificate": Key(*switch()),
    "quantize": Key(*choice(*MODES)),
    "calibration": Key(*file(".npz")),
    "inputs": Key(*file(".npz")),
    "labels": Key(*file()),
    "batch-size": Key(*count()),
    "fold": Key(*switch()),
    "tolerance": Key(*share()),
    "io-dtype": Key(*choice("float32", "int8"), suffix=".tflite"),
    "target": Key(*choice("gpu", "npu", "micro"), suffix=".tflite"),
    "allow-flex": Key(*switch(), suffix=".tflite"),
    "opset": Key(*count(), suffix=".onnx"),
    "norms": Key(*choice("fast", "standard"), suffix=".onnx"),
    "layout": Key(*choice("keras", "nchw"), suffix=".onnx"),
    "min-db": Key(*number()),
    "max-size": Key(*size()),
    "max-latency": Key(*latency()),
    "max-latency-ratio": Key(*number()),
}
ALLOW = {
    "model": Key(*glob()),
    "export": Key(*text()),
    "refusal": Key(*text()),
    "layer": Key(*text()),
    "reason": Key(*text()),
}
# The tables that stand at the top, and those of an override, which is named by the models that it is for.
TABLES = ("exports", "norms", "allow", "override")
OVERRIDE_TABLES = ("exports", "norms")
