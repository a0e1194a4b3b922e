"""Kernels of locally connected layers in the form of a kernel for each place, as `implementation=1` has them.

1  (place, number in the patch, filter)
2  (*input place, channel, *output place, filter), zero where they are not connected
3  the connected values alone, by output place, filter, input place, channel
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from keras_norms._locally_connected import LocallyConnected1D, LocallyConnected2D

from ..errors import ExportError


def in_another_form(layer: Any, ranks: list[int]) -> bool:
    """Whether the stored kernel, the first of weights of these ranks, is of implementation 2 or 3."""
    return isinstance(layer, (LocallyConnected1D, LocallyConnected2D)) and bool(ranks) and ranks[0] != 3


def in_form_of_places(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """The kernel as the layer has it.

    Raises:
        ExportError: If it is of another size than the layer's.
    """
    made = np.zeros(layer.kernel.shape, kernel.dtype)
    channels = made.shape[1] // int(np.prod(layer.kernel_size))
    values = made.reshape(made.shape[0], *layer.kernel_size, channels, made.shape[2])
    at = 0
    for number, (place, patch, source) in enumerate(_connected(layer)):
        index: Any = (number, *patch)
        if kernel.ndim == 1:
            sizes = [part.stop - part.start for part in patch]
            count = int(np.prod(sizes)) * channels * made.shape[2]
            found = kernel[at : at + count]
            at += count
            if len(found) < count:
                raise ExportError(f"the kernel of '{layer.name}' has {len(kernel)} values, fewer than its places take")
            values[index] = np.moveaxis(found.reshape(made.shape[2], *sizes, channels), 0, -1)
        else:
            stored: Any = (*source, slice(None), *place)
            values[index] = kernel[stored]
    if kernel.ndim == 1 and at != len(kernel):
        raise ExportError(f"the kernel of '{layer.name}' has {len(kernel)} values, and its places take {at}")
    return made


def _connected(layer: Any) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Each place of the output, the part of its patch that lies on the input, and where it lies there."""
    sizes = layer.input_sizes
    places = layer.compute_output_shape((None, *sizes, 1))[1:-1]
    for place in product(*(range(number) for number in places)):
        patch, source = [], []
        for at, length, size, step in zip(place, sizes, layer.kernel_size, layer.strides, strict=True):
            start = at * step - (size // 2 if layer.padding == "same" else 0)
            first, last = max(0, -start), min(size, length - start)
            patch.append(slice(first, last))
            source.append(slice(start + first, start + last))
        yield place, tuple(patch), tuple(source)
