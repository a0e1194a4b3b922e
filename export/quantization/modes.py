"""Quantization modes: what each needs, how noisy it may be, and calibration data made ready for a converter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError
from ..model.signature import Signature
from ..model.test_inputs import Arrays, is_batch, read_npz, user_cases
from ..progress import Progress, silent, size_of

_MOST_EXAMPLES = 512


@dataclass(frozen=True)
class Mode:
    """A way to quantize. `floor_db` is the least signal to quantization noise ratio that an artifact may have.

    A floor tells a broken file, not a poor one. Right files of small trained networks have 32 dB and more; of a batch
    norm ResNet with random weights, 47 in "float16", 18 in "dynamic", 17 in "int8" and 28 in "int16x8" were measured.
    """

    name: str
    floor_db: float
    calibrated: bool = False


MODES = {
    mode.name: mode
    for mode in (
        Mode("float16", 30.0),
        Mode("dynamic", 12.0),
        Mode("int8", 10.0, calibrated=True),
        Mode("int16x8", 18.0, calibrated=True),
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
                "calibration is for quantize='int8', 'int16x8' or 'dynamic'; quantize is None. Leave one out or set it."
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


def calibration_batches(calibration: Any, sig: Signature, say: Progress = silent) -> list[Arrays]:
    """Calibration data as batches that the traced model takes: single examples, or the batch size it fixes.

    `calibration` is an array, a list or dict of arrays, the path of an .npz file of these, or an iterable of batches of
    these: a list, a generator, a tf.data dataset. As in `fit`, a batch (x, y) of a model with one input gives x. Only
    what is needed is taken from it, so it may be endless. `say` is told how much has been read.

    Raises:
        ExportError: data that does not fit the inputs, none at all, or numbers that are not finite.
    """
    sizes = {spec.shape[0] for spec in sig.inputs if spec.shape}
    step = (sizes.pop() if len(sizes) == 1 else None) or 1
    free = Signature(
        tuple(type(s)(s.name, (None, *s.shape[1:]), s.dtype) for s in sig.inputs), sig.outputs, sig.structure
    )
    batches: list[Arrays] = []
    rest: Arrays | None = None  # fewer examples than the artifact takes at once, for the next batch to fill up
    for arrays in _examples(calibration, free, say):
        arrays = arrays if rest is None else [np.concatenate(pair) for pair in zip(rest, arrays, strict=True)]
        count = min(len(array) for array in arrays)
        batches += [[array[i : i + step] for array in arrays] for i in range(0, count - step + 1, step)]
        rest = [array[count - count % step :] for array in arrays]
        if len(batches) * step >= _MOST_EXAMPLES:
            break
    if rest is None:
        raise ExportError("calibration must hold at least one example; it is empty.")
    if not batches:
        raise ExportError(
            f"calibration must hold at least {step} examples, the batch the artifact fixes; got {len(rest[0])}."
        )
    return batches[: max(1, _MOST_EXAMPLES // step)]


def _examples(calibration: Any, sig: Signature, say: Progress) -> Iterator[Arrays]:
    if isinstance(calibration, (str, os.PathLike)):
        calibration = read_npz(Path(calibration), sig, "calibration")
    if is_batch(calibration, sig):
        calibration = [calibration]
    if not isinstance(calibration, Iterable):
        raise ExportError(
            "calibration must be an array, a list or dict of arrays, an .npz file, or batches of these; "
            f"got {type(calibration).__name__}."
        )
    total, read = size_of(calibration), 0
    for number, batch in enumerate(calibration, 1):
        labelled = isinstance(batch, tuple) and len(batch) in (2, 3) and len(sig.inputs) == 1
        ((_, arrays),) = user_cases([batch[0] if labelled else batch], sig, "calibration")
        for array, spec in zip(arrays, sig.inputs, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ExportError(
                    f"calibration for '{spec.name}' must be finite; it holds NaN or infinity. Remove those rows."
                )
        if len({len(array) for array in arrays}) > 1:
            counts = ", ".join(f"{len(a)} for '{spec.name}'" for a, spec in zip(arrays, sig.inputs, strict=True))
            raise ExportError(f"calibration must have as many examples for every input; got {counts}.")
        read += len(arrays[0])
        say(f"calibration data read: batch {number}{f' of {total}' if total else ''}, {read} examples")
        yield arrays


def calibration_warnings(batches: list[Arrays], sig: Signature) -> tuple[str, ...]:
    """What is odd about calibration data, though it can be used."""
    warnings = []
    for i, spec in enumerate(sig.inputs):
        first = batches[0][i].flat[0] if batches and batches[0][i].size else None
        if first is not None and all((batch[i] == first).all() for batch in batches):
            warnings.append(
                f"calibration for '{spec.name}' is {first} everywhere, so no range is known; give typical inputs"
            )
    return tuple(warnings)


def save_batches(batches: list[Arrays], path: Path) -> Path:
    """Hand batches to the child process: one array an input, batches along a new first axis."""
    np.savez(path, *[np.stack([batch[i] for batch in batches]) for i in range(len(batches[0]))])
    return path


def load_batches(path: str) -> list[Arrays]:
    with np.load(path, allow_pickle=False) as data:
        arrays = [data[f"arr_{i}"] for i in range(len(data.files))]
    return [list(batch) for batch in zip(*arrays, strict=True)]
