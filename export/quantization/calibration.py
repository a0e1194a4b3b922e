"""Calibration data: read from what the user gives, cut into batches that the model takes, handed to the converter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError
from ..model.signature import Signature
from ..model.user_inputs import Arrays, user_batches, user_cases
from ..progress import Progress, silent, size_of

_MOST_EXAMPLES = 512


def calibration_batches(calibration: Any, sig: Signature, say: Progress = silent) -> list[Arrays]:
    """Calibration data as batches that the traced model takes: single examples, or the batch size it fixes.

    `calibration` is an array, a list or dict of arrays, the path of an .npz file of these, or an iterable of batches of
    these: a list, a generator, a tf.data dataset. As in `fit`, a batch (x, y) of a model with one input gives x. Only
    what is needed is taken from it, so it may be endless. `say` is told how much has been read.

    Raises:
        ExportError: If the data do not fit the inputs, if there are none, or if a number is not finite.
    """
    sizes = {spec.shape[0] for spec in sig.inputs if spec.shape}
    step = (sizes.pop() if len(sizes) == 1 else None) or 1
    batches: list[Arrays] = []
    rest: Arrays | None = None  # too few examples for a batch: the next ones fill it up
    for arrays in _examples(calibration, sig.with_free_batch(), say):
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
    """Batch after batch, checked."""
    batches = user_batches(calibration, sig, "calibration")
    total, read = size_of(batches), 0
    for number, batch in enumerate(batches, 1):
        labelled = isinstance(batch, tuple) and len(batch) in (2, 3) and len(sig.inputs) == 1
        ((_, arrays),) = user_cases([batch[0] if labelled else batch], sig, "calibration")
        _check_examples(arrays, sig)
        read += len(arrays[0])
        say(f"calibration data read: batch {number}{f' of {total}' if total else ''}, {read} examples")
        yield arrays


def _check_examples(arrays: Arrays, sig: Signature) -> None:
    """Refuse numbers that are not finite, and inputs with different numbers of examples."""
    for array, spec in zip(arrays, sig.inputs, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ExportError(
                f"calibration for '{spec.name}' must be finite; it holds NaN or infinity. Remove those rows."
            )
    if len({len(array) for array in arrays}) > 1:
        counts = ", ".join(f"{len(a)} for '{spec.name}'" for a, spec in zip(arrays, sig.inputs, strict=True))
        raise ExportError(f"calibration must have as many examples for every input; got {counts}.")


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
