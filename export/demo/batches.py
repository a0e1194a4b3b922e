"""Which images a training sees together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def mixed(labels: Array, batch_size: int, rng: np.random.Generator) -> Array:
    """The images of an epoch in random order, as indices of shape (batches, batch_size). What is left over is skipped:
    a smaller last batch would train at another batch size."""
    return _whole(rng.permutation(len(labels)), batch_size)


def of_one_class(labels: Array, batch_size: int, rng: np.random.Generator) -> Array:
    """The images of an epoch so that each batch shows one class, in random order within it; the batches too are in
    random order. Recordings come like this, and what is read from a folder for each class."""
    classes = [_whole(rng.permutation(np.flatnonzero(labels == c)), batch_size) for c in np.unique(labels)]
    return rng.permutation(np.concatenate(classes))


def _whole(indices: Array, batch_size: int) -> Array:
    return indices[: len(indices) // batch_size * batch_size].reshape(-1, batch_size)
