"""Quantization modes: what each needs, how noisy it may be, and calibration data made ready for a converter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExportError
from .probes import Arrays, user_cases
from .signature import Signature

_MOST_EXAMPLES = 512


@dataclass(frozen=True)
class Mode:
    """A way to quantize. `floor_db` is the least signal to quantization noise ratio that an artifact may have."""

    name: str
    floor_db: float
    calibrated: bool = False


MODES = {
    mode.name: mode
    for mode in (
        Mode("float16", 30.0),
        Mode("dynamic", 12.0),
        Mode("int8", 10.0, calibrated=True),
        Mode("int16x8", 12.0, calibrated=True),
    )
}


def check_mode(quantize: str | None, calibration: Any, supported: tuple[str, ...], target: str) -> Mode | None:
    """The mode that `quantize` names, or None for float32.

    Raises:
        ExportError: an unknown mode, one the target does not have, a calibrated one without data, data without need.
    """
    if quantize is None:
        if calibration is not None:
            raise ExportError(
                "calibration is for quantize='int8' or 'int16x8'; quantize is None. Leave one out or set it."
            )
        return None
    if quantize not in supported:
        raise ExportError(f"quantize for {target} must be None or one of {', '.join(supported)}; got {quantize!r}.")
    mode = MODES[quantize]
    if mode.calibrated and calibration is None:
        raise ExportError(
            f"quantize='{quantize}' needs calibration=: some hundred typical inputs, from which it takes the range of "
            "each tensor. Pass an array, a dict of arrays, or batches of them."
        )
    return mode


def calibration_batches(calibration: Any, sig: Signature) -> list[Arrays]:
    """Calibration data as batches that the traced model takes: single examples, or the batch size it fixes.

    Raises:
        ExportError: data that does not fit the inputs, none at all, or numbers that are not finite.
    """
    sizes = {spec.shape[0] for spec in sig.inputs if spec.shape}
    size = sizes.pop() if len(sizes) == 1 else None
    free = Signature(
        tuple(type(s)(s.name, (None, *s.shape[1:]), s.dtype) for s in sig.inputs), sig.outputs, sig.structure
    )
    batches: list[Arrays] = []
    for _, arrays in user_cases(calibration, free, "calibration"):
        for array, spec in zip(arrays, sig.inputs, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ExportError(
                    f"calibration for '{spec.name}' must be finite; it holds NaN or infinity. Remove those rows."
                )
        count, step = len(arrays[0]), size or 1
        if count < step:
            raise ExportError(
                f"calibration must hold at least {step} examples, the batch the artifact fixes; got {count}."
            )
        batches += [[array[i : i + step] for array in arrays] for i in range(0, count - step + 1, step)]
        if len(batches) * step >= _MOST_EXAMPLES:
            break
    return batches[: max(1, _MOST_EXAMPLES // (size or 1))]


def save_batches(batches: list[Arrays], path: Path) -> Path:
    """Hand batches to the child process: one array an input, batches along a new first axis."""
    np.savez(path, *[np.stack([batch[i] for batch in batches]) for i in range(len(batches[0]))])
    return path


def load_batches(path: str) -> list[Arrays]:
    with np.load(path, allow_pickle=False) as data:
        arrays = [data[f"arr_{i}"] for i in range(len(data.files))]
    return [list(batch) for batch in zip(*arrays, strict=True)]
