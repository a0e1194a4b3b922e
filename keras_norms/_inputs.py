"""Inputs that no normalization layer can take: text, ragged and sparse tensors, each refused by one error."""

from __future__ import annotations

from typing import Any

import numpy as np

_SPARSE = {"SparseTensor", "IndexedSlices", "BCOO", "BCSR"}


def check_dense_numbers(inputs: Any, layer: str) -> None:
    """Refuses an input without a dense shape, or without numbers. It takes a microsecond, as it is part of each call.

    Raises:
        TypeError: If the input is a ragged or a sparse tensor, or holds text.
    """
    kind, remedy = _unusable(inputs) or (None, None)
    if kind is not None:
        shape = getattr(inputs, "shape", None)
        of_shape = "" if shape is None else f" of shape {shape}"
        raise TypeError(
            f"{layer} needs a dense tensor of numbers. Received: {kind} ({type(inputs).__name__}{of_shape}). {remedy}"
        )


def _unusable(x: Any) -> tuple[str, str] | None:
    """What x is and what to do about it, or None if a layer can take it."""
    name = type(x).__name__
    if name == "RaggedTensor" or getattr(x, "ragged", False) is True or getattr(x, "is_nested", False) is True:
        return "a ragged tensor", "Pad it to a dense one, and pass a mask of the positions that count."
    if name in _SPARSE or getattr(x, "sparse", False) is True or getattr(x, "is_sparse", False) is True:
        return "a sparse tensor", "Make it dense first, for example by tf.sparse.to_dense or x.to_dense()."
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        if isinstance(x, str):
            return _TEXT
        return _unusable_list(x) if isinstance(x, (list, tuple)) else None
    return _TEXT if _is_text(dtype) else None


_TEXT = ("text", "Turn it into numbers first, for example by keras.layers.StringLookup and keras.layers.Embedding.")


def _unusable_list(x: Any) -> tuple[str, str] | None:
    if any(hasattr(v, "dtype") for v in x):
        return None  # tensors, which Keras converts
    try:
        dtype = np.asarray(x).dtype
    except ValueError:
        return "a list of rows of unequal lengths", "Pad the rows, and pass a mask of the positions that count."
    return _TEXT if _is_text(dtype) else None


def _is_text(dtype: Any) -> bool:
    if isinstance(dtype, np.dtype):
        return dtype.kind in "USO"
    return bool(getattr(dtype, "name", dtype) == "string")
