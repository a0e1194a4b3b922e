"""Folding, export to TFLite and ONNX, and verification of Keras models with normalization layers.

The converters and runtimes load when a model is exported or verified, not when this package is imported.
"""

from .api import to_onnx, to_tflite
from .errors import ExportError, FoldError, VerificationError
from .folding.fold import fold
from .formats.tflite.delegates.lint import lint
from .loading.load import LoadResult, load
from .report.delegate_report import DelegateReport
from .report.export_report import ExportReport
from .report.fold_report import FoldReport
from .report.layer_trace import LayerTrace
from .report.load_report import LoadReport
from .report.verify_report import VerifyReport
from .verification.verify import verify

__all__ = [
    "load",
    "fold",
    "to_tflite",
    "to_onnx",
    "verify",
    "lint",
    "LoadReport",
    "LoadResult",
    "FoldReport",
    "ExportReport",
    "VerifyReport",
    "LayerTrace",
    "DelegateReport",
    "FoldError",
    "ExportError",
    "VerificationError",
]
