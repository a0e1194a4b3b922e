"""What each operator asks of the grids of its inputs and its output when it computes in integers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`data` are the positions of the inputs that hold data; the others are sizes, axes and the like.

    Attributes:
        same: Whether the output has the grid of the inputs: nothing is computed, or the kernel rescales nothing.
        fixed: The grids of the output that the kernel is written for: (scale, zero point) in 8 bits, in 16 bits.
        wide: Whether runtimes and NPUs have it in 16 bits: LiteRT lacks some, Arm's compiler leaves others behind. What
            is not wide has 8 bits in a file of 16 too.
        weights: The axis of output channels of the kernel, if input 1 is one.
        bias: The position of the bias of such an operator.
        versions: The version of the operator that takes 8 bits, and 16 bits, if the converter's own does not.
    """

    data: tuple[int, ...] = (0,)
    same: bool = False
    fixed: tuple[tuple[float, int], tuple[float, int]] | None = None
    wide: bool = True
    weights: int | None = None
    bias: int = 2
    versions: tuple[int, int] = (1, 1)


_SAME = Rule(same=True)
_TWO = Rule(data=(0, 1))
_ALL = tuple(range(1_000))  # more inputs than any join has
_UNIT = ((1 / 256, -128), (1 / 32768, 0))
_SIGNED = ((1 / 128, 0), (1 / 32768, 0))

RULES: dict[str, Rule] = {
    "CONV_2D": Rule(weights=0, versions=(3, 5)),
    "DEPTHWISE_CONV_2D": Rule(weights=3, versions=(3, 6)),
    "FULLY_CONNECTED": Rule(weights=0, versions=(4, 9)),
    "TRANSPOSE_CONV": Rule(data=(2,), weights=0, bias=3, versions=(3, 3)),
    "ADD": _TWO,
    "SUB": _TWO,
    "MUL": _TWO,
    "BATCH_MATMUL": Rule(data=(0, 1), wide=False),
    "MINIMUM": Rule(data=(0, 1), same=True),
    "MAXIMUM": Rule(data=(0, 1), same=True),
    "MEAN": Rule(),
    "REDUCE_MAX": Rule(same=True),
    "REDUCE_MIN": Rule(same=True),
    "RSQRT": Rule(),
    "QUANTIZE": Rule(),
    "RELU": Rule(),
    "RELU6": Rule(),
    "LEAKY_RELU": Rule(),
    "HARD_SWISH": Rule(wide=False),
    "GELU": Rule(wide=False),
    "LOGISTIC": Rule(fixed=_UNIT),
    "SOFTMAX": Rule(fixed=_UNIT),
    "TANH": Rule(fixed=_SIGNED),
    "RESHAPE": _SAME,
    "SQUEEZE": _SAME,
    "EXPAND_DIMS": _SAME,
    "TRANSPOSE": _SAME,
    "PAD": _SAME,
    "SLICE": _SAME,
    "STRIDED_SLICE": _SAME,
    "MAX_POOL_2D": _SAME,
    "AVERAGE_POOL_2D": _SAME,
    "RESIZE_BILINEAR": _SAME,
    "RESIZE_NEAREST_NEIGHBOR": _SAME,
    "CONCATENATION": Rule(data=_ALL, same=True),
    "PACK": Rule(data=_ALL, same=True),
}
