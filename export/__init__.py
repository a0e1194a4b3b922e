"""Folding, export to TFLite and ONNX, and verification of Keras models with normalization layers.

The converters and runtimes load when a model is exported or verified, not when this package is imported.
"""

from .delegates import lint
from .errors import ExportError, FoldError, VerificationError
from .exporting import to_onnx, to_tflite
from .fold import fold
from .report.delegates import DelegateReport
from .report.export import ExportReport
from .report.fold import FoldReport
from .report.verify import VerifyReport
from .verify import verify

__all__ = [
    "fold",
    "to_tflite",
    "to_onnx",
    "verify",
    "lint",
    "FoldReport",
    "ExportReport",
    "VerifyReport",
    "DelegateReport",
    "FoldError",
    "ExportError",
    "VerificationError",
]
