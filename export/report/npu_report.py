"""What an NPU's compiler says of a file: how much of it runs there, and what it estimates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LeftOut:
    """An operator that stays on the processor: its kind, its layer, the compiler's reason."""

    op: str
    layer: str
    reason: str


@dataclass(frozen=True)
class NpuReport:
    """What Vela says of a file for one chip.

    `on_npu` and `on_processor` count operators as Vela does, after its own rewrites; `macs_share` is the share of
    multiply-adds on the NPU. `cycles`, `seconds` an inference, `sram_kb` and `flash_kb` are its estimates, of the part
    that the NPU runs.
    """

    chip: str
    on_npu: int
    on_processor: int
    left_out: tuple[LeftOut, ...]
    macs_share: float
    cycles: int
    seconds: float
    sram_kb: float
    flash_kb: float

    @property
    def share(self) -> float:
        """The share of operators that the NPU runs."""
        return self.on_npu / max(self.on_npu + self.on_processor, 1)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}

    def __str__(self) -> str:
        left: dict[tuple[str, str], list[str]] = {}
        for each in self.left_out:
            left.setdefault((each.layer, each.reason), []).append(each.op)
        listed = (f"    '{layer}': {', '.join(dict.fromkeys(ops))}: {why}" for (layer, why), ops in left.items())
        return "\n".join([self.headline, *(["    left to the processor:"] if left else []), *listed])

    @property
    def headline(self) -> str:
        """The report in a line, without what was left out."""
        total = self.on_npu + self.on_processor
        return (
            f"{self.chip} runs {self.on_npu} of {total} operators ({self.share:.0%}) and {self.macs_share:.0%} of "
            f"multiply-adds; Vela estimates {self.seconds * 1e3:.3g} ms, {self.cycles:,} cycles, {self.sram_kb:.1f} KB "
            f"of SRAM, {self.flash_kb:.1f} KB of flash"
        )
