"""What `lint --target npu` and `--target micro` find: what a chip leaves to others, by layer, and what helps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ....model.layer_names import layer_of
from ....report.delegate_report import Finding
from ....report.micro_report import MicroReport
from ....report.npu_report import NpuReport
from ..delegates.node_table import Node, nodes
from . import micro, vela
from .chip_checks import blamed
from .kernels import KERNELS
from .npu_rules import left_out
from .reports import chip_reports

_LEFT, _NO_KERNEL = "left to the processor", "no kernel"
_IN_INTEGERS = "export with target='npu' and quantize='int16x8' or 'int8', which leaves nothing in floats"
_IN_EIGHT = "export with quantize='int8': the NPU has it in 8 bits"
_OTHERWISE = "replace the layer by convolutions, dense layers, pooling or arithmetic, which the NPU has"
_FOR_MICRO = "replace the layer by one that TFLite Micro has kernels for"
_NOT_HYBRID = "export with target='micro', in float32 or with quantize='int8'"


def chip_findings(
    path: Path, target: str, layers: Collection[str] | None
) -> tuple[list[Finding], tuple[MicroReport | NpuReport, ...]]:
    """The findings, and what the chip's own tools say of the file; without Vela, by rules that are held equal to it."""
    if target == "micro":
        found = list(_micro(path, layers))
        return found, () if found else chip_reports(path, target, layers)
    if not vela.installed():
        left = [(node.op, layer_of(node.name.split(";")[0], layers), reason) for node, reason in left_out(path)]
        return _npu(left), ()
    reports = tuple(vela.compile_for(chip, path, layers) for chip in vela.CHIPS)
    return _npu([(each.op, each.layer, each.reason) for report in reports for each in report.left_out]), reports


def _npu(left: list[tuple[str, str, str]]) -> list[Finding]:
    """One finding for each layer and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for op, layer, reason in left:
        found.setdefault((layer, reason), []).append(op)
    return [
        Finding(_LEFT, layer, ", ".join(dict.fromkeys(ops)), reason, _npu_remedy(ops[0], reason))
        for (layer, reason), ops in found.items()
    ]


def _npu_remedy(op: str, reason: str) -> str:
    if "float" in reason.lower() or op in ("QUANTIZE", "DEQUANTIZE"):
        return _IN_INTEGERS
    return _IN_EIGHT if "8 bits alone" in reason or "nt8" in reason else _OTHERWISE


def _micro(path: Path, layers: Collection[str] | None) -> Iterator[Finding]:
    listed = nodes(path)
    lacking = [node for node in listed if node.op not in KERNELS]
    hybrid = [node for node in listed if _is_hybrid(node)]
    for node in lacking:
        yield _finding(node, "TFLite Micro has no kernel for it", _FOR_MICRO, layers)
    for node in hybrid:
        yield _finding(
            node, "weights of 8 bits beside floats, for which TFLite Micro has no kernel", _NOT_HYBRID, layers
        )
    if not lacking and not hybrid and micro.installed():
        try:
            micro.arena_bytes(path)
        except micro.RefusedError as refused:
            yield _finding(
                blamed(str(refused), listed) or listed[0], f"TFLite Micro says: {refused}", _FOR_MICRO, layers
            )


def _is_hybrid(node: Node) -> bool:
    kinds = {tensor.kind for tensor in node.inputs if tensor.constant and tensor.shape}
    return any(tensor.kind == "FLOAT32" for tensor in node.outputs) and node.op != "DEQUANTIZE" and "INT8" in kinds


def _finding(node: Node, reason: str, remedy: str, layers: Collection[str] | None) -> Finding:
    return Finding(_NO_KERNEL, layer_of(node.name.split(";")[0], layers), node.op, reason, remedy)
