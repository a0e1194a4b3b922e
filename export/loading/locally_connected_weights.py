"""The weights of locally connected layers in the form of a kernel for each place, as `implementation=1` has them.

1  (place, number in the patch, filter)
2  (*input place, channel, *output place, filter), zero where they are not connected
3  the connected values alone, by output place, filter, input place, channel

With channels first, channel and filter stand before the places, and in form 1 the channel before the place in the
patch. The bias is (*output place, filter); with channels first Keras 2 reshaped it to (filter, *output place).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from keras_norms._locally_connected import LocallyConnected1D, LocallyConnected2D

from ..errors import ExportError

_OF_PLACES = 3  # the rank of a kernel in form 1


def is_locally_connected(layer: Any) -> bool:
    """Whether the stored weights of a layer are to be put into the form of places."""
    return isinstance(layer, (LocallyConnected1D, LocallyConnected2D))


def in_form_of_places(layer: Any, weights: list[Any]) -> list[Any]:
    """The kernel and the bias as the layer has them; those of a wrong shape as they are.

    Raises:
        ExportError: If a kernel of form 3 is of another size than the layer's.
    """
    kernel, *bias = weights
    if kernel.ndim != _OF_PLACES:
        kernel = _of_other_form(layer, np.asarray(kernel))
    elif layer.data_format == "channels_first" and tuple(kernel.shape) == tuple(layer.kernel.shape):
        by_channel = np.asarray(kernel).reshape(kernel.shape[0], -1, *layer.kernel_size, kernel.shape[2])
        kernel = np.moveaxis(by_channel, 1, -2).reshape(kernel.shape)
    if layer.data_format == "channels_first" and bias and tuple(bias[0].shape) == tuple(layer.bias.shape):
        *places, filters = layer.bias.shape
        bias = [np.moveaxis(np.asarray(bias[0]).reshape(filters, *places), 0, -1)]
    return [kernel, *bias]


def _of_other_form(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """A kernel of form 2 or 3 in form 1."""
    made = np.zeros(layer.kernel.shape, kernel.dtype)
    channels, filters = made.shape[1] // int(np.prod(layer.kernel_size)), made.shape[2]
    values = made.reshape(made.shape[0], *layer.kernel_size, channels, filters)
    first, rank = layer.data_format == "channels_first", len(layer.kernel_size)
    if kernel.ndim == 1:
        _put_connected(layer, kernel, values)
        return made
    kernel = np.moveaxis(kernel, (0, rank + 1), (rank, 2 * rank + 1)) if first else kernel
    for number, (place, patch, source) in enumerate(_connected(layer)):
        stored: Any = (*source, slice(None), *place)
        at: Any = (number, *patch)
        values[at] = kernel[stored]
    return made


def _put_connected(layer: Any, kernel: np.ndarray, values: np.ndarray) -> None:
    """Put the connected values of form 3 where they stand in form 1."""
    first = layer.data_format == "channels_first"
    patches = [patch for _, patch, _ in _connected(layer)]
    *_, channels, filters = values.shape
    sizes = [[part.stop - part.start for part in patch] for patch in patches]
    counts = [int(np.prod(size)) * channels for size in sizes]
    if sum(counts) * filters != len(kernel):
        raise ExportError(
            f"the kernel of '{layer.name}' has {len(kernel)} values, and its places take {sum(counts) * filters}"
        )
    numbers, of_filters = range(len(patches)), range(filters)
    order = [(n, f) for f in of_filters for n in numbers] if first else [(n, f) for n in numbers for f in of_filters]
    begin = 0
    for number, filter_ in order:
        found = kernel[begin : begin + counts[number]]
        begin += counts[number]
        shape = (channels, *sizes[number]) if first else (*sizes[number], channels)
        at: Any = (number, *patches[number], slice(None), filter_)
        values[at] = np.moveaxis(found.reshape(shape), 0, -1) if first else found.reshape(shape)


def _connected(layer: Any) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Each place of the output, the part of its patch that lies on the input, and where it lies there."""
    sizes = layer.input_sizes
    places = layer.places_of((None, *sizes, 1))
    for place in product(*(range(number) for number in places)):
        patch, source = [], []
        for at, length, size, step in zip(place, sizes, layer.kernel_size, layer.strides, strict=True):
            start = at * step - (size // 2 if layer.padding == "same" else 0)
            first, last = max(0, -start), min(size, length - start)
            patch.append(slice(first, last))
            source.append(slice(start + first, start + last))
        yield place, tuple(patch), tuple(source)
