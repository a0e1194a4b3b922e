"""What GPU and NPU delegates refuse or compute wrongly, read off the operations, types and shapes of a TFLite file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ....model.layer_names import NORM_SCOPE, layer_of
from ....model.spec import Spec
from ....report.delegate_report import Finding
from .gpu_rules import refusals
from .node_table import Node, nodes

_MOST_RANK = 4
_FIX_BATCH = "fix the batch: batch_size=1 (--batch-size 1)"
_FIX_SIZES = "build the model with sizes: keras.Input((224, 224, 3)), not keras.Input((None, None, 3))"
_SIXTEEN = "16-bit integers, in {} operations; GPU delegates have floats and 8-bit integers"
_RANK = "a tensor of rank {}; delegates have batch, height, width and channels"
_ALONE = "computed in floats, which NPUs with integers alone (Ethos-U, Edge TPU) leave to the processor"
_FOLDS = (
    "export with target='npu', which has every norm in integers, or use one that folds (BatchNormalization, "
    "BatchRenormalization)"
)
_HALF = "run it on a GPU, or on an NPU that has float16 too"
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def static_findings(
    path: Path, inputs: Sequence[Spec], layers: Collection[str] | None, mode: str | None
) -> list[Finding]:
    """At most one finding for each kind, layer and operation; `mode` is the quantization of the file."""
    listed = nodes(path)
    found: dict[tuple[str, str, str], Finding] = {}
    for finding in (*_free_sizes(inputs), *_on_a_gpu(listed, layers), *_on_integers(listed, layers, mode)):
        found.setdefault((finding.kind, finding.layer, finding.op), finding)
    return list(found.values())


def _free_sizes(inputs: Sequence[Spec]) -> Iterator[Finding]:
    for spec in inputs:
        if None in spec.shape:
            reason = f"input {list(spec.shape)} is free in size; GPU and NPU delegates prepare for fixed sizes"
            remedies = [(spec.shape[0] is None, _FIX_BATCH), (None in spec.shape[1:], _FIX_SIZES)]
            helps = "; ".join(remedy for applies, remedy in remedies if applies)
            yield Finding("dynamic shape", spec.name, "input", reason, helps)


def _on_a_gpu(listed: Sequence[Node], layers: Collection[str] | None) -> Iterator[Finding]:
    sixteen = [node for node in listed if any(tensor.kind == "INT16" for tensor in node.computed())]
    if sixteen:
        remedy = "export with quantize='int8' or 'float16' for a GPU"
        reason = _SIXTEEN.format(len(sixteen))
        yield Finding("type", layer_of(sixteen[0].name, layers), sixteen[0].op, reason, remedy)
    for node in listed:
        layer = layer_of(node.name, layers)
        for kind, reason, remedy in refusals(node):
            yield Finding(kind, layer, node.op, reason, remedy)
        rank = max((len(tensor.shape) for tensor in node.computed()), default=0)
        if rank > _MOST_RANK:
            remedy = "reshape to four dimensions or fewer before the layer"
            yield Finding("rank", layer, node.op, _RANK.format(rank), remedy)
        if any(tensor.kind in ("INT64", "FLOAT64") for tensor in node.computed()):
            remedy = "use int32 or float32 in the model (keras.ops.cast)"
            yield Finding("type", layer, node.op, "64-bit numbers, which delegates do not have", remedy)


def _on_integers(listed: Sequence[Node], layers: Collection[str] | None, mode: str | None) -> Iterator[Finding]:
    """The layers of a quantized file that an NPU without floats leaves to the processor; conversions do not count."""
    if mode not in ("int8", "int16x8"):
        return
    floats: dict[str, Counter[str]] = {}
    in_norm = set()
    for node in listed:
        if node.op not in _CONVERSIONS and any(tensor.kind == "FLOAT32" for tensor in node.computed()):
            layer = layer_of(node.name, layers)
            floats.setdefault(layer, Counter())[node.op] += 1
            in_norm |= {layer} if f"/{NORM_SCOPE}/" in node.name else set()
    for layer, kinds in floats.items():
        first, *more = kinds
        op = f"{first} and {kinds.total() - kinds[first]} others" if more else first
        yield Finding("float operation", layer, op, _ALONE, _FOLDS if layer in in_norm else _HALF)
