"""What a file takes on its chip, asked of TFLite Micro and of Arm's compiler where these are installed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ....report.micro_report import MicroReport
from ....report.npu_report import NpuReport
from .. import op_facts
from . import micro, vela
from .kernels import KERNELS, resolver_lines


def chip_reports(path: Path, target: str, layers: Collection[str] | None) -> tuple[MicroReport | NpuReport, ...]:
    """For "micro" what TFLite Micro needs; for "npu" what Vela says for each chip, and that too where it runs there."""
    found: list[MicroReport | NpuReport] = []
    if target == "npu" and vela.installed():
        found += [vela.compile_for(chip, path, layers) for chip in vela.CHIPS]
    kinds = op_facts.op_counts(path)
    if target == "micro" or (micro.installed() and set(kinds) <= KERNELS and micro.runs(path)):
        arena = micro.arena_bytes(path) if micro.installed() else None
        found.append(MicroReport(arena, resolver_lines(kinds)))
    return tuple(found)
