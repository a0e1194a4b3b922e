"""Quantization modes: which of them need calibration data, and how noisy each may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import ExportError
from .budget import AUTO


@dataclass(frozen=True)
class Mode:
    """A way to quantize. `floor_db` is the least signal to quantization noise ratio that an artifact may have.

    A floor tells a broken file from a right one, not a good one from a poor one. Right files of small trained networks
    have 32 dB and more; of a batch norm ResNet with random weights, 47 in "float16", 18 in "dynamic", 17 in "int8" and
    28 in "int16x8" were measured.
    """

    name: str
    floor_db: float
    calibrated: bool = False
    held: dict[str, float] = field(default_factory=dict)

    def floor_of(self, output: str) -> float:
        """The least ratio of one output: `floor_db`, unless `held` has another for it."""
        return self.held.get(output, self.floor_db)


MODES = {
    mode.name: mode
    for mode in (
        Mode("float16", 30.0),
        Mode("dynamic", 12.0),
        Mode("int8", 10.0, calibrated=True),
        Mode("int16x8", 18.0, calibrated=True),
        Mode(AUTO, 10.0, calibrated=True),
    )
}


def check_mode(quantize: str | None, calibration: Any, supported: tuple[str, ...], format_name: str) -> Mode | None:
    """The mode that `quantize` names, or None for float32.

    Raises:
        ExportError: If the format does not have the mode, if a calibrated mode is given no data, or if there are data
            and no mode.
    """
    if quantize is None:
        if calibration is not None:
            raise ExportError(
                "calibration is for quantize='int8', 'int16x8', 'dynamic' or 'auto'; quantize is None. Leave one "
                "out or set it."
            )
        return None
    if quantize not in supported:
        raise ExportError(
            f"quantize for {format_name} must be None or one of {', '.join(supported)}; got {quantize!r}."
        )
    mode = MODES[quantize]
    if mode.calibrated and calibration is None:
        raise ExportError(
            f"quantize='{quantize}' needs calibration=: some hundred typical inputs, from which it takes the range of "
            "each tensor. Pass an array, a dict of arrays, or batches of them."
        )
    return mode
