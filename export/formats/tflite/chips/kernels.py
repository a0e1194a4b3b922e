"""The operators that TFLite Micro has kernels for, and the lines of C++ that link them.

Each was asked of the interpreter of `tflite-micro`: a test asks again. It says of a type that a kernel lacks only when
it runs the file.
"""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
KERNELS = frozenset(_NAMES.split())
_AS_THEY_ARE = {"2D": "2D", "LSTM": "LSTM", "PADV2": "PadV2", "CUMSUM": "CumSum", "MATMUL": "MatMul"}


def resolver_lines(operators: Iterable[str]) -> tuple[str, ...]:
    """C++ that makes a resolver of these operators: of no others, so that no others are linked."""
    kinds = sorted(set(operators))
    calls = (f"resolver.Add{_method(kind)}();" for kind in kinds)
    return (f"tflite::MicroMutableOpResolver<{len(kinds)}> resolver;", *calls)


def _method(kind: str) -> str:
    """CONV_2D as Conv2D, as the methods of MicroMutableOpResolver are called."""
    return "".join(_AS_THEY_ARE.get(part, part.capitalize()) for part in kind.split("_"))
