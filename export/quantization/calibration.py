"""Calibration data: read from what the user gives, cut into batches that the model takes, handed to the converter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError
from ..model.signature import Signature
from ..model.user_inputs import Arrays, check_rows, checked_batch, is_batch, user_batches
from ..progress import Progress, silent, size_of

_MOST_EXAMPLES = 512


@dataclass(frozen=True)
class CalibrationData:
    """`batches` is what the ranges are taken from, `rows` all that was read, on which the artifact is judged."""

    batches: list[Arrays]
    rows: Arrays


def read_calibration(calibration: Any, sig: Signature, say: Progress = silent) -> CalibrationData:
    """Calibration data as batches that the traced model takes: single examples, or the batch size it fixes.

    `calibration` is an array, a list or dict of arrays, the path of an .npz file of these, or an iterable of batches of
    these: a list, a generator, a tf.data dataset. As in `fit`, a batch (x, y) of a model with one input gives x. Ranges
    are taken from the first 512 examples. What lies in memory or in a file is read whole; of a generator or a dataset,
    which may be endless, no more is taken than that. `say` is told how much has been read.

    Raises:
        ExportError: If the data do not fit the inputs, if there are none, or if a number is not finite.
    """
    step = sig.batch or 1
    in_memory = isinstance(calibration, (list, tuple, str, os.PathLike)) or is_batch(calibration, sig)
    most, count = None if in_memory else max(_MOST_EXAMPLES, step), 0
    read: list[Arrays] = []
    for arrays in _examples(calibration, sig.with_free_batch(), say):
        _check_alike(read, arrays, sig)
        read.append(arrays)
        count += len(arrays[0])
        if most is not None and count // step * step >= most // step * step:
            break
    if not read:
        raise ExportError("calibration must hold at least one example; it is empty.")
    if count < step:
        raise ExportError(f"calibration must hold at least {step} examples, the batch the artifact fixes; got {count}.")
    rows = [np.concatenate(arrays) for arrays in zip(*read, strict=True)]
    starts = range(0, min(count, max(_MOST_EXAMPLES, step)) - step + 1, step)
    return CalibrationData([[array[i : i + step] for array in rows] for i in starts], rows)


def _examples(calibration: Any, sig: Signature, say: Progress) -> Iterator[Arrays]:
    """Batch after batch, checked."""
    scalars = [spec.name for spec in sig.inputs if not spec.shape]
    if scalars:
        raise ExportError(
            f"calibration is for inputs with a batch dimension; '{scalars[0]}' is a scalar. Give the model one with it."
        )
    batches = user_batches(calibration, sig, "calibration")
    total, read = size_of(batches), 0
    for number, batch in enumerate(batches, 1):
        labelled = isinstance(batch, tuple) and len(batch) in (2, 3) and len(sig.inputs) == 1
        arrays = checked_batch(batch[0] if labelled else batch, sig, "calibration", number - 1)
        check_rows(arrays, sig, "calibration")
        read += len(arrays[0])
        say(f"calibration data read: batch {number}{f' of {total}' if total else ''}, {read} examples")
        yield arrays


def _check_alike(read: list[Arrays], arrays: Arrays, sig: Signature) -> None:
    """Refuse batches of other sizes than the first: a conversion runs on one."""
    for first, array, spec in zip(read[0] if read else arrays, arrays, sig.inputs, strict=True):
        if array.shape[1:] != first.shape[1:]:
            raise ExportError(
                f"calibration for '{spec.name}' must have the same sizes in every batch; the first has "
                f"{list(first.shape)}, another {list(array.shape)}. Crop or pad them to one size."
            )


def calibration_warnings(batches: list[Arrays], sig: Signature) -> tuple[str, ...]:
    """Says of which inputs the calibration data are one constant, which can be used but gives no range."""
    warnings = []
    for i, spec in enumerate(sig.inputs):
        first = batches[0][i].flat[0] if batches and batches[0][i].size else None
        if first is not None and all((batch[i] == first).all() for batch in batches):
            warnings.append(
                f"calibration for '{spec.name}' is {first} everywhere, so no range is known; give typical inputs"
            )
    return tuple(warnings)


def save_batches(batches: list[Arrays], path: Path) -> Path:
    """Write batches for the child process: one array for each input, with the batches along a new first axis."""
    np.savez(path, *[np.stack([batch[i] for batch in batches]) for i in range(len(batches[0]))])
    return path


def load_batches(path: str) -> list[Arrays]:
    with np.load(path, allow_pickle=False) as data:
        arrays = [data[f"arr_{i}"] for i in range(len(data.files))]
    return [list(batch) for batch in zip(*arrays, strict=True)]
