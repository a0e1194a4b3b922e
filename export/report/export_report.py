"""What an export did: the file, its operations, what was folded, and how far it was proven."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .delegate_report import XnnpackReport
from .fold_report import FoldReport
from .layer_trace import LayerTrace
from .load_report import LoadReport
from .micro_report import MicroReport
from .npu_report import NpuReport
from .size_curve import SizeCurve
from .strict_json import strict_json
from .text_table import Block, text
from .unquantized import Unquantized, in_words
from .verify_report import VerifyReport


@dataclass(frozen=True)
class ExportReport:
    """The result of `to_tflite` and `to_onnx`.

    `path`, `format`, `size_bytes`, `ops` (operation -> count), `fold` (None when folding was off or impossible),
    `verification`, `warnings`, `certificate` (the path of one that was asked for),
    `xnnpack` (which operations of a TFLite file that delegate took; `lint` tells more), `chips` (what a file for an NPU
    or a microcontroller takes there, by Arm's compiler and TFLite Micro), `loaded` (how the model's file
    was read, and what proves that; None for a model that was built in Python), `in_float` (the layers of a quantized
    file that have weights in float32, each with the reason), `budget` (what `quantize="auto"` tried and chose: the
    curve of size against exactness, and the bits of every weight).
    """

    path: Path
    format: str
    size_bytes: int
    ops: dict[str, int]
    fold: FoldReport | None
    verification: VerifyReport
    warnings: tuple[str, ...] = ()
    certificate: Path | None = None
    xnnpack: XnnpackReport | None = None
    chips: tuple[MicroReport | NpuReport, ...] = ()
    loaded: LoadReport | None = None
    in_float: tuple[Unquantized, ...] = ()
    budget: SizeCurve | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "format": self.format,
            "size_bytes": self.size_bytes,
            "ops": self.ops,
            "fold": self.fold.to_dict() if self.fold else None,
            "verification": self.verification.to_dict(),
            "warnings": list(self.warnings),
            "certificate": str(self.certificate) if self.certificate else None,
            "xnnpack": asdict(self.xnnpack) if self.xnnpack else None,
            "chips": [chip.to_dict() for chip in self.chips],
            "loaded": self.loaded.to_dict() if self.loaded else None,
            "in_float": [asdict(layer) for layer in self.in_float],
            "budget": self.budget.to_dict() if self.budget else None,
        }

    @property
    def trace(self) -> LayerTrace | None:
        """Every layer's error, in order of execution; None if it was not asked for."""
        return self.verification.trace

    @property
    def weights_in_float(self) -> str:
        """The layers of `in_float` by reason, in words; "" if there are none."""
        return in_words(self.in_float)

    @property
    def origin(self) -> str:
        """Who wrote the model's file, and what shows that it was read as its writer meant it; "" for Keras 3's own."""
        if self.loaded is None or (self.loaded.writer.startswith("Keras 3") and not self.loaded.translated):
            return ""
        return f"model: written by {self.loaded.writer}; proof: {self.loaded.proof}"

    def to_json(self) -> str:
        return strict_json(self.to_dict())

    def __str__(self) -> str:
        ops = ", ".join(f"{count} {name}" for name, count in sorted(self.ops.items(), key=lambda item: -item[1]))
        lines = [f"{self.format}: {self.path}, {self.size_bytes:,} bytes", f"operations: {ops}"]
        if self.origin:
            lines.append(self.origin)
        if self.fold is not None:
            tails = f", gamma and beta of {len(self.fold.tails)} others folded" if self.fold.tails else ""
            lines.append(f"norms: {len(self.fold.folded)} folded, {len(self.fold.kept)} kept{tails}")
        if self.in_float:
            lines.append(f"weights in float: {self.weights_in_float}")
        if self.xnnpack is not None:
            lines.append(str(self.xnnpack))
        lines += [Block(chip) for chip in self.chips]
        if self.budget is not None:
            lines.append(Block(self.budget))
        if self.certificate is not None:
            lines.append(f"certificate: {self.certificate}")
        lines += [f"warning: {warning}" for warning in self.warnings]
        return text([*lines, Block(self.verification)])
