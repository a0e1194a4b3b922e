"""The one place that says whether a refusal is in words for a user or in those of a converter or a runtime."""

from __future__ import annotations

import re

# What libraries write for their own authors, and what this package says when it has no reason to give.
_RAW = re.compile(
    r"""
    Traceback | \bloc\( | MLIR | a\ fault\ of\ its\ own | op_type:
    | <unknown>:0 | \btensor<[\dx?]*[xfi]\w+> | \btfl?\.(?!Tensor\b)[A-Z]\w+ | %\d+\ = | failed\ to\ legalize
    | ONNXRuntimeError | onnxruntime:: | \[ShapeInferenceError\] | \[TypeInferenceError\]
    | StatusCode | std:: | \.(?:cc|cpp|h):\d+
    | \b(?:Type|Value|Attribute|Index|Key|Runtime|Assertion|NotImplemented|Internal|InvalidArgument|Operator)Error:
    | INVALID_ARGUMENT | \bNode\ \(|Node\ number\ \d+
    | process\ ended\ with\ code | 0x[0-9a-f]{6,} | zip\(\)\ argument
    """,
    re.VERBOSE,
)


def is_raw(words: str) -> bool:
    """True for raw text of a converter or runtime, a traceback, or a message that gives no reason."""
    return _RAW.search(words) is not None
