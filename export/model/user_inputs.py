"""What a user gives to run a model on, checked against the model: arrays, .npz files, batches of these."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from .signature import Signature, Spec

Arrays = list[np.ndarray]
NamedArrays = tuple[str, Arrays]


def user_cases(inputs: Any, sig: Signature, what: str = "inputs") -> list[NamedArrays]:
    """Turn what a user gives (array, list, dict, .npz file, or an iterable of batches of these) into named cases.

    Raises:
        ExportError: If a name, a number of arrays, a shape or a dtype is not what the model takes, if a number is not
            finite, or if nothing is given.
    """
    cases: list[NamedArrays] = []
    for i, batch in enumerate(user_batches(inputs, sig, what)):
        cases.append((f"given, batch {i}" if i else "given", checked_batch(batch, sig, what, i)))
    if not cases:
        raise ExportError(f"{what} must hold at least one example; it is empty.")
    return cases


def as_the_model_takes_them(inputs: Any, sig: Signature) -> Any:
    """The first case of `user_cases`, as one tensor, list or dict for `model(...)`.

    Raises:
        ExportError: As `user_cases`.
    """
    return keras.tree.pack_sequence_as(sig.structure, user_cases(inputs, sig)[0][1])


def checked_batch(batch: Any, sig: Signature, what: str, number: int = 0) -> Arrays:
    """One batch as flat arrays, like `conform`, that have at least one row and hold finite numbers alone.

    Raises:
        ExportError: If they do not; it says where, in the batch of that `number`.
    """
    arrays = conform(batch, sig, what)
    if any(array.shape[:1] == (0,) for array in arrays):
        raise ExportError(f"{what} must hold at least one example; it is empty.")
    _check_finite(arrays, sig, what, number)
    return arrays


def joined(cases: list[NamedArrays]) -> list[NamedArrays]:
    """The cases with the rows of those together that differ in the number of rows alone, under the first one's name."""
    alike: dict[tuple[Any, ...], list[NamedArrays]] = {}
    for name, arrays in cases:
        rows = {len(array) for array in arrays if array.ndim}
        # Rows of inputs that differ in their number belong to no common row.
        key = tuple(array.shape[1:] for array in arrays) if len(rows) == 1 else (name,)
        key = key if all(array.ndim for array in arrays) else (name,)
        alike.setdefault(key, []).append((name, arrays))
    groups = [(group[0][0], [arrays for _, arrays in group]) for group in alike.values()]
    return [(name, group[0] if len(group) == 1 else _concatenated(group)) for name, group in groups]


def _concatenated(group: list[Arrays]) -> Arrays:
    return [np.concatenate(arrays) for arrays in zip(*group, strict=True)]


def _check_finite(arrays: Arrays, sig: Signature, what: str, batch: int) -> None:
    """Refuse NaN and infinities in the arrays of a batch, of which `batch` others came before.

    Raises:
        ExportError: If there are any; it says in which input, how many, and where the first is.
    """
    for array, spec in zip(arrays, sig.inputs, strict=True):
        problem = why_not_finite(array, batch)
        if problem:
            raise ExportError(f"{what} for '{spec.name}' {problem}")


def why_not_finite(array: np.ndarray, batch: int = 0) -> str | None:
    """What is wrong with an array that holds NaN or infinity, as the end of a sentence; None for any other.

    No artifact can be judged on what is no number. Infinities are refused too: most models make NaN of them, and a
    quantized file has no scale for them. A mask that is added does its work with -1e9.
    """
    if array.dtype.kind in "biuSUO":
        return None
    wrong = ~np.isfinite(array)
    if not wrong.any():
        return None
    return f"hold {_told(array)}, the first{_place(wrong, batch)}. Leave that row out, or give a finite number instead."


def _told(array: np.ndarray) -> str:
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    kinds = [f"{nan} NaN"] * bool(nan) + [f"{infinite} {'infinity' if infinite == 1 else 'infinities'}"] * bool(
        infinite
    )
    return " and ".join(kinds)


def _place(wrong: np.ndarray, batch: int) -> str:
    """Where the first is, counted from 0 as NumPy does; nothing for a scalar."""
    position = [int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape)]
    if not position:
        return ""
    in_batch = f"batch {batch}, " if batch else ""
    return f" in {in_batch}row {position[0]}" + (f" at {position[1:]}" if position[1:] else "")


def check_rows(arrays: Arrays, sig: Signature, what: str) -> None:
    """Refuse inputs with different numbers of examples.

    Raises:
        ExportError: If they differ.
    """
    if len({len(array) for array in arrays if array.ndim}) > 1:
        rows = zip(arrays, sig.inputs, strict=True)
        counts = ", ".join(f"{len(a)} for '{spec.name}'" for a, spec in rows if a.ndim)
        raise ExportError(f"{what} must have as many examples for every input; got {counts}.")


def user_batches(inputs: Any, sig: Signature, what: str) -> Iterable[Any]:
    """The batches that a user gives, unchecked: those of an iterable, or the only one. A file is read.

    Raises:
        ExportError: If `inputs` is neither of these, or if the file cannot be read.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = read_npz(Path(inputs), [spec.name for spec in sig.inputs], what)
    if is_batch(inputs, sig):
        return [inputs]
    if not isinstance(inputs, Iterable):
        raise ExportError(
            f"{what} must be an array, a list or dict of arrays, an .npz file, or batches of these; "
            f"got {type(inputs).__name__}."
        )
    return inputs


def read_npz(path: Path, names: Sequence[str], what: str) -> Any:
    """The arrays of a file: by input name, or, if they have no names (`arr_0`, `arr_1`, ...), in order.

    Nothing in the file is run: pickled objects are refused.

    Raises:
        ExportError: If the file is missing, damaged or of another kind, or if it holds other arrays than the inputs.
    """
    if not path.is_file():
        raise ExportError(f"There is no {what} file '{path}'. Write one with np.savez(path, array).")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ExportError(f"'{path}' holds one bare array. Write it with np.savez(path, array).")
        with archive:
            found = {name: archive[name] for name in archive.files}
    except ExportError:
        raise
    except Exception as error:  # damaged files make NumPy and its decompression raise many kinds
        pickled = "allow_pickle" in str(error) and zipfile.is_zipfile(path)
        reason = "holds pickled objects, which are not read from an untrusted file"
        raise ExportError(
            f"'{path}' {reason if pickled else 'is damaged, or no .npz file'}. "
            "Write plain arrays with np.savez(path, array)."
        ) from error
    if set(found) == set(names):
        return {name: found[name] for name in names}
    unnamed = [f"arr_{i}" for i in range(len(names))]
    if set(found) != set(unnamed):
        raise ExportError(
            f"'{path}' must hold one array for each input of the model, {', '.join(map(repr, names))} (or as many "
            f"unnamed ones, in order); it holds {', '.join(map(repr, found)) or 'nothing'}. "
            "Write it with np.savez(path, **arrays)."
        )
    return [found[name] for name in unnamed]


def is_batch(inputs: Any, sig: Signature) -> bool:
    """Whether `inputs` is one batch, not an iterable of batches."""
    return isinstance(inputs, Mapping) or hasattr(inputs, "__array__") or _is_flat_list(inputs, sig)


def _is_flat_list(inputs: Any, sig: Signature) -> bool:
    if not isinstance(inputs, (list, tuple)) or not inputs:
        return False
    if not all(hasattr(x, "shape") for x in inputs) or len(inputs) != len(sig.inputs):
        return False
    return len(sig.inputs) > 1 or np.ndim(inputs[0]) == len(sig.inputs[0].shape)


def conform(batch: Any, sig: Signature, what: str) -> Arrays:
    """One batch as flat arrays in the order and with the dtypes of the model's inputs.

    Raises:
        ExportError: If it names other inputs, or if a shape or a dtype does not fit.
    """
    names = [spec.name for spec in sig.inputs]
    if isinstance(batch, Mapping):
        unknown, missing = sorted(set(batch) - set(names)), sorted(set(names) - set(batch))
        if unknown or missing:
            raise ExportError(f"{what} must name the model's inputs {names}; got {sorted(batch)}.")
        flat = [batch[name] for name in names]
    else:
        flat = list(batch) if isinstance(batch, (list, tuple)) and len(names) > 1 else [batch]
        if isinstance(batch, (list, tuple)) and len(names) == 1 and len(batch) == 1:
            flat = list(batch)
        if len(flat) != len(names):
            raise ExportError(f"{what} must hold one array for each of {names}; got {len(flat)}.")
    return [_checked(np.asarray(array), spec, what) for array, spec in zip(flat, sig.inputs, strict=True)]


def _checked(array: np.ndarray, spec: Spec, what: str) -> np.ndarray:
    fits = len(array.shape) == len(spec.shape) and all(
        expected in (None, got) for expected, got in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise ExportError(
            f"{what} for '{spec.name}' must have the shape {list(spec.shape)} (None is free), got {list(array.shape)}. "
            "Check the batch dimension and the layout."
        )
    try:
        with np.errstate(over="ignore"):  # what overflows is refused with its place
            return array.astype(
                spec.dtype, casting="same_kind" if array.dtype.kind == np.dtype(spec.dtype).kind else "safe"
            )
    except TypeError:
        if array.dtype.kind in "iu" and spec.dtype.startswith("float"):
            return array.astype(spec.dtype)
        raise ExportError(
            f"{what} for '{spec.name}' must be {spec.dtype}, got {array.dtype}. Convert it first."
        ) from None
