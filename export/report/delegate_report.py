"""The report of `lint`: which operations XNNPACK runs, and what a GPU or NPU delegate rejects or computes badly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .micro_report import MicroReport
from .npu_report import NpuReport
from .strict_json import strict_json
from .text_table import Block, text


@dataclass(frozen=True)
class Finding:
    """Something that a delegate rejects or computes badly: the Keras layer and the operation, why, and what helps.

    Kinds: `rank`, `dynamic shape`, `unsupported operation`, `wrong result`, `older delegate` (TensorFlow Lite's, before
    LiteRT's), `broadcast`, `type`, `float operation` (in an 8-bit or 16-bit file), `float16 overflow`, `float16
    underflow`, `float16 constant`, `float16 error`. For chips: `left to the processor`, `no kernel`.
    """

    kind: str
    layer: str
    op: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return text([f"{self.kind} in '{self.layer}' ({self.op}): {self.reason}.", f"    What helps: {self.remedy}."])


@dataclass(frozen=True)
class XnnpackReport:
    """How many operations of each kind XNNPACK runs (`taken`) and leaves to LiteRT's own kernels (`left`).

    `left_layers` has the kind and the layer of each operation left; `partitions` is the number of parts that it runs.
    """

    taken: dict[str, int]
    left: dict[str, int]
    left_layers: tuple[tuple[str, str], ...]
    partitions: int

    def __str__(self) -> str:
        total = sum(self.taken.values()) + sum(self.left.values())
        parts = f" in {self.partitions} parts" if self.partitions > 1 else ""
        told = f"XNNPACK runs {sum(self.taken.values())} of {total} operations{parts}"
        if not self.left:
            return told
        left = ", ".join(f"{op} ({layer})" if layer else op for op, layer in dict.fromkeys(self.left_layers))
        return f"{told}; LiteRT's own kernels run {left}"


@dataclass(frozen=True)
class DelegateReport:
    """The result of `lint`. `.ok` if there is no finding; `half` has each output's error in emulated half precision.

    For a `target`, `chips` has what its compiler or interpreter says of the file, and the rest is empty.
    """

    path: str
    xnnpack: XnnpackReport | None
    findings: tuple[Finding, ...]
    half: dict[str, float]
    inputs: str
    target: str | None = None
    chips: tuple[MicroReport | NpuReport, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "chips": [chip.to_dict() for chip in self.chips], "ok": self.ok}

    def to_json(self) -> str:
        return strict_json(self.to_dict())

    def lines(self) -> list[str]:
        """The report line by line, the findings last."""
        errors = ", ".join(f"'{name}' {error:.1e}" for name, error in self.half.items())
        return [
            *([f"  {self.xnnpack}"] if self.xnnpack else []),
            *([f"  in half precision, as a share of its scale, each output is off by: {errors}"] if errors else []),
            *([f"  half precision was emulated on {self.inputs}"] if errors else []),
            *(f"  {chip.headline}" for chip in self.chips if isinstance(chip, NpuReport)),
            *(Block(f"  {chip}") for chip in self.chips if isinstance(chip, MicroReport)),
            *(Block(f"  {finding}") for finding in self.findings),
        ]

    def verdict(self) -> str:
        count = len(self.findings)
        if self.target is not None:
            chip = {"npu": "an Ethos-U", "micro": "TFLite Micro"}[self.target]
            return f"{self.path}: {chip} {'runs all of it' if self.ok else f'does not run all of it, {count} findings'}"
        told = f"{count} finding{'s'[: count > 1]} for GPU and NPU delegates"
        return f"{self.path}: {'nothing that a GPU delegate rejects' if self.ok else told}"

    def __str__(self) -> str:
        return text([self.verdict(), *self.lines()])
