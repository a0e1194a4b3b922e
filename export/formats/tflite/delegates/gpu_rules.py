"""Which operations LiteRT's GPU delegates refuse, and which they compute wrongly.

Two are in use: TensorFlow Lite's (`TfLiteGpuDelegateV2`), and the accelerator of LiteRT's CompiledModel, which replaces
it. What they refuse is written in LiteRT's sources (tflite/tools/versioning/gpu_compatibility.cc and
tflite/delegates/gpu/common/model_builder.cc); what the accelerator computes, and what it computes wrongly, was measured
with `benchmarks/gpu_accelerator.py` on LiteRT 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .gpu_operations import ELEMENTWISE, IN_ACCELERATOR_ONLY, IN_BOTH
from .node_table import Node, Tensor

UNSUPPORTED, WRONG, OLDER = "unsupported operation", "wrong result", "older delegate"
_REPLACE = (
    "replace the layer, or split the model so that it comes first or last: each such operation sends the data back to "
    "the processor"
)
_REMEDIES = {
    "SHAPE": "fix the batch: batch_size=1 (--batch-size 1)",
    "WHILE": "build the recurrent layer with unroll=True, for sequences of one length",
}
_COMPILED = "run the file with LiteRT's CompiledModel"
_TAKES = "TensorFlow Lite's GPU delegate takes"


class Refusal(NamedTuple):
    """Why a delegate does not compute an operation well: the kind of finding, the reason, and what helps."""

    kind: str
    reason: str
    remedy: str


def refusals(node: Node) -> list[Refusal]:
    """Every reason why an operation does not run on a GPU, or not correctly; empty if it does."""
    if node.op not in IN_BOTH | IN_ACCELERATOR_ONLY:
        return [Refusal(UNSUPPORTED, f"LiteRT's GPU delegates have no {node.op}", _REMEDIES.get(node.op, _REPLACE))]
    checks = (_older_delegate, _repeated, *(_ANY_OF_TWO if node.op in ELEMENTWISE else ()), *_CHECKS.get(node.op, ()))
    return [refusal for check in checks if (refusal := check(node)) is not None]


def _older_delegate(node: Node) -> Refusal | None:
    if node.op in IN_ACCELERATOR_ONLY:
        reason = f"TensorFlow Lite's GPU delegate has no {node.op}; LiteRT's accelerator has"
        return Refusal(OLDER, reason, f"{_COMPILED}, or replace the layer")
    integers = [t for t in _computed(node) if t.kind == "INT32"]
    if integers and node.op not in ("CAST", "GATHER", "ONE_HOT"):
        return Refusal(OLDER, f"{_TAKES} no int32; LiteRT's accelerator does", f"{_COMPILED}, or cast to float32")
    return None


def _repeated(node: Node) -> Refusal | None:
    computed = [tensor.index for tensor in _computed(node)]
    if len(computed) == len(set(computed)) or node.op in ("ADD", "CONCATENATION", "MUL"):
        return None
    reason = "one tensor as two operands, which LiteRT's accelerator refuses, or at which it ends the process"
    return Refusal(UNSUPPORTED, reason, "compute one of the operands by a layer of its own")


def _ranks(node: Node) -> Refusal | None:
    shapes = sorted((t.shape for t in _computed(node) if len(t.shape) > 1), key=len)
    if len(shapes) < 2 or len(shapes[0]) == len(shapes[-1]):
        return None
    short, long = shapes[0], shapes[-1]
    one = len(long) == 4 and long[0] == 1 and (len(short) == 3 or short == (1, 1))
    if one or ((len(long), len(short)) == (4, 2) and (long[0], long[3]) == short):
        return None
    reason = f"operands of the ranks {sorted({len(short), len(long)})}; {_TAKES} only equal ranks in general"
    return Refusal("broadcast", reason, f"reshape the smaller operand to the rank of the larger, or {_COMPILED}")


def _constant(node: Node) -> Refusal | None:
    """A delegate's constants have no batch dimension: the first of two or three dimensions is taken for the height."""
    result = node.outputs[0].shape
    constants = [t.shape for t in node.inputs if t.constant and len(t.shape) == len(result) and t.shape[:1] > (1,)]
    if not constants:
        return None
    reason = f"a constant {list(constants[0])} with another value for each sample of the batch"
    remedy = "fix the batch to 1, or make the constant an input"
    if len(result) == 4 and all(t.shape[:1] == result[:1] for t in _computed(node)):
        return Refusal(
            OLDER, f"{reason}, which TensorFlow Lite's GPU delegate does not have", f"{remedy}, or {_COMPILED}"
        )
    return Refusal(WRONG, f"{reason}, which LiteRT's accelerator takes for the height", remedy)


def _matmul(node: Node) -> Refusal | None:
    a, b = node.inputs
    if a.constant:
        return Refusal(UNSUPPORTED, "a constant as the first factor", "transpose the product, so that it comes second")
    if _batch(a) != _batch(b) and not (b.constant and len(b.shape) == 2):
        reason = (
            f"factors {list(a.shape)} and {list(b.shape)}; LiteRT's accelerator computes only equal batches correctly"
        )
        return Refusal(WRONG, reason, "repeat the smaller factor along the batch")
    if b.constant and len(b.shape) > 2:
        return Refusal(OLDER, f"{_TAKES} only a matrix as a constant factor", f"{_COMPILED}, or make it an input")
    return None


def _batch(factor: Tensor) -> list[int | None]:
    """The dimensions in front of a factor's last two, from the first that is not 1."""
    sizes = list(factor.shape[:-2])
    while sizes and sizes[0] == 1:
        sizes.pop(0)
    return sizes


def _convolution(node: Node) -> Refusal | None:
    channels, (made, _, _, taken) = node.inputs[0].shape[-1], node.inputs[1].shape
    if channels is None or made is None or taken in (None, channels):
        return None
    sizes = (taken, made * taken // channels)
    if node.inputs[1].constant and (sizes == (1, 1) or all(size % 4 == 0 for size in sizes)):
        return None
    reason = f"groups of {sizes[0]} to {sizes[1]} channels; LiteRT's accelerator computes only multiples of 4 correctly"
    return Refusal(WRONG, reason, "make them multiples of 4 channels, or use DepthwiseConv2D")


def _depthwise(node: Node) -> Refusal | None:
    if node.inputs[1].constant:
        return None
    return Refusal(UNSUPPORTED, "a computed kernel, at which LiteRT's accelerator ends the process", "make it a weight")


def _gather(node: Node) -> Refusal | None:
    if len(node.inputs[1].shape) == 1:
        return None
    reason = f"indices of rank {len(node.inputs[1].shape)}; GPU delegates take a list of them"
    return Refusal(UNSUPPORTED, reason, "let the processor look up embeddings first; slice with a range, not an index")


def _strided_slice(node: Node) -> Refusal | None:
    if node.options.shrinkAxisMask:
        reason = "an axis is dropped by an index (x[:, 0]), for which GPU delegates have no form"
        return Refusal(UNSUPPORTED, reason, "slice with a range and reshape: x[:, :1]")
    if node.options.newAxisMask or node.options.ellipsisMask:
        return Refusal(UNSUPPORTED, "a new axis or an ellipsis in a slice", "slice with ranges, and reshape")
    if any(step < 0 for step in node.inputs[3].values):
        return Refusal(UNSUPPORTED, "a slice that runs backwards", "use keras.ops.flip")
    return _slice(node)


def _slice(node: Node) -> Refusal | None:
    rank = len(node.inputs[0].shape)
    if rank in (3, 4):
        return None
    return Refusal(OLDER, f"{_TAKES} slices of rank 3 and 4; this has {rank}", f"{_COMPILED}, or reshape first")


def _pad(node: Node) -> Refusal | None:
    shape, values = node.inputs[1].shape, node.inputs[1].values
    if shape[0] not in (3, 4):
        reason = f"a tensor of rank {shape[0]} is padded; GPU delegates pad rank 3 and 4"
        return Refusal(UNSUPPORTED, reason, "reshape to [batch, length, channels] first, or concatenate zeros")
    if any(values[:2]):
        return Refusal(WRONG, "the batch is padded, which LiteRT's accelerator does not do", "concatenate zeros")
    if node.op == "MIRROR_PAD" and node.options.mode == 1:
        return Refusal(UNSUPPORTED, "symmetric padding; GPU delegates reflect only", "pad with mode='reflect'")
    return None


def _select(node: Node) -> Refusal | None:
    result = node.outputs[0].shape
    if all(t.shape == result or t.shape in ((), (1,)) for t in node.inputs[1:]):
        return None
    reason = "a choice between tensors of another shape than the result's; GPU delegates broadcast only scalars there"
    return Refusal(UNSUPPORTED, reason, "add zeros of the result's shape to them first")


def _one_hot(node: Node) -> Refusal | None:
    if node.options.axis in (-1, len(node.inputs[0].shape)):
        return None
    return Refusal(UNSUPPORTED, "the classes are not the last axis", "use axis=-1, and transpose")


def _computed(node: Node) -> list[Tensor]:
    return [tensor for tensor in node.inputs if not tensor.constant]


_Check = Callable[[Node], Refusal | None]
_ANY_OF_TWO: tuple[_Check, ...] = (_ranks, _constant)
_CHECKS: dict[str, tuple[_Check, ...]] = {
    "BATCH_MATMUL": (_matmul,),
    "CONV_2D": (_convolution,),
    "DEPTHWISE_CONV_2D": (_depthwise,),
    "GATHER": (_gather,),
    "MIRROR_PAD": (_pad,),
    "ONE_HOT": (_one_hot,),
    "PAD": (_pad,),
    "PADV2": (_pad,),
    "SELECT": (_select,),
    "SELECT_V2": (_select,),
    "SLICE": (_slice,),
    "STRIDED_SLICE": (_strided_slice,),
}
