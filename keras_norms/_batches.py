"""Data of every kind that `fit` takes, as batches of a model's inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_norms import _arguments

DATA = "an array, a dict of arrays, (inputs, targets), or an iterable of batches"


def batches_of(model: Any, data: Any, batch_size: int, limit: int | None) -> Iterator[Any]:
    """What the model is to be called with, batch by batch, at most `limit` of them.

    Raises:
        ValueError: If the data has no end and there is no limit, its arrays differ in length, or it has no batch.
        TypeError: If it is no data.
    """
    found = False
    for batch in itertools.islice(_all(model, data, batch_size, limit), limit):
        found = True
        yield batch
    if not found:
        raise ValueError(f"`data` has to hold at least one batch. Received: {_told(data)}. Give {DATA}.")


def can_be_read_again(data: Any) -> bool:
    """Whether going through the data does not use it up."""
    return not isinstance(data, Iterator)


def size_of(inputs: Any) -> int:
    """How many samples a batch has."""
    return int(tree.flatten(inputs)[0].shape[0])


def check_limit(batches: object) -> int | None:
    if batches is None:
        return None
    count = _arguments.integer("batches", batches, "Use the number of batches to read, or None for all.")
    if count < 1:
        raise ValueError(f"`batches` has to be at least 1. Received: batches={count}. Use None for all of the data.")
    return count


def check_batch_size(batch_size: object) -> int:
    size = _arguments.integer("batch_size", batch_size, "Use the number of samples in one batch.")
    if size < 1:
        raise ValueError(f"`batch_size` has to be at least 1. Received: batch_size={size}. The default is 32.")
    return size


def _all(model: Any, data: Any, batch_size: int, limit: int | None) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        yield from map(_inputs_of, _of_py_dataset(data, limit))
    elif _is_array(data) or isinstance(data, dict):
        yield from _cut(data, batch_size)
    elif isinstance(data, tuple) and data and _is_array(tree.flatten(data[0])[0]):
        yield from _cut(data[0], batch_size)
    elif isinstance(data, list) and len(data) > 1 and len(data) == len(getattr(model, "inputs", None) or ()):
        yield from _cut(data, batch_size)
    elif isinstance(data, Iterable) and not isinstance(data, str):
        _check_end(data, limit)
        yield from map(_inputs_of, data)
    else:
        raise TypeError(f"`data` has to be {DATA}. Received: {_told(data)}. Give what `model.fit` takes.")


def _of_py_dataset(data: Any, limit: int | None) -> Iterator[Any]:
    count = data.num_batches
    if count is None and limit is None:
        raise _endless(data)
    for index in range(count) if count is not None else itertools.count():
        yield data[index]


def _check_end(data: Any, limit: int | None) -> None:
    # tf.data says so itself; -1 is its constant for a dataset without an end.
    if limit is None and hasattr(data, "element_spec") and int(data.cardinality()) == -1:
        raise _endless(data)


def _endless(data: Any) -> ValueError:
    return ValueError(f"`data` has to end. Received: {_told(data)}, which repeats without end. Say how many `batches`.")


def _cut(arrays: Any, batch_size: int) -> Iterator[Any]:
    flat = tree.flatten(arrays)
    lengths = {len(array) for array in flat}
    if len(lengths) != 1:
        raise ValueError(
            f"The arrays in `data` have to have the same length. Received: lengths {sorted(lengths)}. "
            "Give as many samples to each input."
        )
    for start in range(0, lengths.pop(), batch_size):
        yield tree.map_structure(lambda array, start=start: _usable(array[start : start + batch_size]), arrays)


def _inputs_of(batch: Any) -> Any:
    """The inputs in a batch: as in `fit`, the first of a tuple or list, before targets and weights."""
    inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
    return tree.map_structure(_usable, inputs)


def _usable(array: Any) -> Any:
    """A tensor of the backend as it is, whatever else holds numbers as a NumPy array."""
    return array if ops.is_tensor(array) else np.asarray(array)


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype") and not isinstance(x, keras.KerasTensor)


def _told(data: Any) -> str:
    return f"{type(data).__name__} of shape {tuple(data.shape)}" if _is_array(data) else type(data).__name__
