"""Inputs that an artifact is tried on: random ones, those that break norms, and whatever the user gives.

Random inputs alone miss what breaks norms: a constant input has no variance, a large offset cancels, a tiny variance
shows a wrong epsilon, and one infinity shows what leaks from a group or a sample into the others.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from .keras_graph import layers_of
from .signature import Signature, Spec
from .sizes import FREE_SIZES

OFFSET = 1e4
CONSTANT = 1234.0
TINY = 1e-3
INFINITE = "one infinity"
_FREE_BATCHES = (1, 3)

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Probe:
    """One set of inputs. `formula` and `seed` say how to draw it again; `given` if the user brought it."""

    name: str
    arrays: Arrays
    formula: str
    seed: int | None = None
    given: bool = False


def _rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(rng.normal(size=(*shape[:-1], 1)), shape)


def _steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(40_000.0 + np.arange(shape[-1] if shape else 1) % 4, shape)


# How the floats of each input are drawn. Random comes first: it sets the scale that tiny outputs are judged against.
_FORMULAS = {
    "random": ("N(0, 1)", lambda rng, shape: rng.normal(size=shape)),
    "constant": (f"{CONSTANT}", lambda rng, shape: np.full(shape, CONSTANT)),
    "constant rows": ("N(0, 1), the same along the last axis", _rows),
    "offset": (f"{OFFSET} + N(0, 1)", lambda rng, shape: OFFSET + rng.normal(size=shape)),
    "steps": ("40000, 40001, 40002, 40003, ... along the last axis", _steps),
    "tiny variance": (f"{TINY} * N(0, 1)", lambda rng, shape: TINY * rng.normal(size=shape)),
    "zeros": ("0", lambda rng, shape: np.zeros(shape)),
    INFINITE: ("N(0, 1), the first number of the first sample infinite", lambda rng, shape: rng.normal(size=shape)),
}


def probes(model: keras.Model, sig: Signature) -> list[Probe]:
    """Synthetic inputs: random at batch 1 and 3 where the batch is free, then each kind that breaks norms."""
    size = _accepted_size(model, sig)
    limits = [_id_limit(model, spec) for spec in sig.inputs]
    free = all(spec.shape and spec.shape[0] is None for spec in sig.inputs)
    small, large = _FREE_BATCHES if free else (None, None)
    floats = any(spec.dtype.startswith(("float", "bfloat")) for spec in sig.inputs)
    cases = [("random", f"random, batch {small}" if free else "random", small)]
    if floats:
        cases += [(kind, kind, small) for kind in _FORMULAS if kind not in ("random", INFINITE)]
    if free:  # last, for a runtime prepares itself anew for each size
        cases.append(("random", f"random, batch {large}", large))
    if floats:
        cases.append((INFINITE, INFINITE, large))
    return [_draw(kind, name, sig, batch, size, limits) for kind, name, batch in cases]


def _draw(kind: str, name: str, sig: Signature, batch: int | None, size: int, limits: list[int]) -> Probe:
    formula, floats = _FORMULAS[kind]
    seed = zlib.crc32(name.encode())
    rng = np.random.default_rng(seed)
    arrays = []
    for spec, limit in zip(sig.inputs, limits, strict=True):
        shape = concrete_shape(spec, batch, size)
        if spec.dtype.startswith(("float", "bfloat")):
            array = floats(rng, shape)
        elif spec.dtype == "bool":
            array = rng.random(shape) < 0.5
        elif spec.dtype == "string":
            raise ExportError(
                f"Input '{spec.name}' takes strings; give inputs= to verify with, and vectorize before the model."
            )
        else:
            array = rng.integers(0, limit, shape)
        arrays.append(np.array(array, spec.dtype))
    if kind == INFINITE:
        arrays = with_first_number(arrays, np.inf)
    return Probe(name, arrays, formula, seed)


def with_first_number(arrays: Arrays, value: float) -> Arrays:
    """The arrays with the first number of the first float one replaced."""
    changed = [array.copy() for array in arrays]
    for array in changed:
        if array.dtype.kind == "f" and array.size:
            array.flat[0] = value
            break
    return changed


def concrete_shape(spec: Spec, batch: int | None, size: int) -> tuple[int, ...]:
    """The shape of `spec` with its free sizes filled in."""
    first = [batch or 1 if spec.shape[0] is None else spec.shape[0]] if spec.shape else []
    return (*first, *(size if n is None else n for n in spec.shape[1:]))


def _accepted_size(model: keras.Model, sig: Signature) -> int:
    """The smallest size for free dimensions beside the batch that the model takes."""
    if all(None not in spec.shape[1:] for spec in sig.inputs):
        return 1
    last: Exception | None = None
    for size in FREE_SIZES:
        symbols = [keras.KerasTensor((1, *concrete_shape(spec, 1, size)[1:]), spec.dtype) for spec in sig.inputs]
        try:
            outputs = model.compute_output_spec(keras.tree.pack_sequence_as(sig.structure, symbols))
        except Exception as error:  # whichever layer finds the size too small or not divisible
            last = error
            continue
        if all(0 not in y.shape for y in keras.tree.flatten(outputs)):
            return size
    raise ExportError(
        f"No size of {FREE_SIZES} for the free dimensions suits the model ({last}). Give inputs= to verify with."
    )


def _id_limit(model: keras.Model, spec: Spec) -> int:
    """One more than the largest integer to feed: the smallest vocabulary of the model's embeddings."""
    vocabularies = [layer.input_dim for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)]
    return min(vocabularies, default=10)


def user_cases(inputs: Any, sig: Signature, what: str = "inputs") -> list[tuple[str, Arrays]]:
    """Turn what a user gives (array, list, dict, .npz file, or an iterable of batches of these) into named cases.

    Raises:
        ExportError: a name, a number of arrays, a shape or a dtype that the model does not take, or nothing at all.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = read_npz(Path(inputs), sig, what)
    batches: Iterable = [inputs] if is_batch(inputs, sig) else inputs
    if not isinstance(batches, Iterable):
        raise ExportError(
            f"{what} must be an array, a list or dict of arrays, or batches of these; got {type(inputs).__name__}."
        )
    cases = [(f"given, batch {i}" if i else "given", _conform(batch, sig, what)) for i, batch in enumerate(batches)]
    if not cases or any(array.shape[:1] == (0,) for _, arrays in cases for array in arrays):
        raise ExportError(f"{what} must hold at least one example; it is empty.")
    return cases


def read_npz(path: Path, sig: Signature, what: str) -> Any:
    """The arrays of a file by name, or, if they have none, in order."""
    if not path.is_file():
        raise ExportError(f"There is no {what} file '{path}'. Write one with np.savez(path, array).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ExportError(
            f"{what} file '{path}' is no .npz file of plain arrays. Write it with np.savez(path, array)."
        ) from error
    unnamed = [f"arr_{i}" for i in range(len(sig.inputs))]
    return [found[name] for name in unnamed] if set(found) == set(unnamed) else found


def is_batch(inputs: Any, sig: Signature) -> bool:
    """Whether `inputs` is one batch, not an iterable of batches."""
    return isinstance(inputs, Mapping) or hasattr(inputs, "__array__") or _is_flat_list(inputs, sig)


def _is_flat_list(inputs: Any, sig: Signature) -> bool:
    if not isinstance(inputs, (list, tuple)) or not inputs:
        return False
    if not all(hasattr(x, "shape") for x in inputs) or len(inputs) != len(sig.inputs):
        return False
    return len(sig.inputs) > 1 or np.ndim(inputs[0]) == len(sig.inputs[0].shape)


def _conform(batch: Any, sig: Signature, what: str) -> Arrays:
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
        return array.astype(
            spec.dtype, casting="same_kind" if array.dtype.kind == np.dtype(spec.dtype).kind else "safe"
        )
    except TypeError:
        if array.dtype.kind in "iu" and spec.dtype.startswith("float"):
            return array.astype(spec.dtype)
        raise ExportError(
            f"{what} for '{spec.name}' must be {spec.dtype}, got {array.dtype}. Convert it first."
        ) from None
