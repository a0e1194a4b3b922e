"""What a model does to its inputs first: pixels of 0 to 255 become numbers of about 1, by x * a + b.

Numbers drawn for an input are what these layers should give, so the input itself is (drawn - b) / a. Numbers of about 1
as pixels would be one grey image, whatever is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .keras_graph import functional, inputs_of, nodes
from .signature import Signature

_SCALINGS = (keras.layers.Rescaling, keras.layers.Normalization)


@dataclass(frozen=True)
class Scaling:
    """The layers that scale one input, in the order in which they run."""

    layers: tuple[Any, ...]

    def taken_back(self, drawn: np.ndarray) -> np.ndarray:
        """The input from which the layers make `drawn`."""
        zeros, ones = (self._run(np.full((1, *drawn.shape[1:]), value, "float32")) for value in (0, 1))
        a = ones - zeros
        with np.errstate(all="ignore"):
            found = (drawn - zeros) / np.where(a == 0, 1, a)
        return np.asarray(found, drawn.dtype)

    def _run(self, x: np.ndarray) -> np.ndarray:
        y: Any = x
        for layer in self.layers:
            y = layer(y)
        return np.asarray(keras.ops.convert_to_numpy(y), np.float64)

    def __str__(self) -> str:
        return ", ".join(f"'{layer.name}'" for layer in self.layers)


def scalings(model: keras.Model, sig: Signature) -> dict[str, Scaling]:
    """The scaling of each float input that has one, by the input's name."""
    core = functional(model)
    if core is None:
        return {}
    found = {
        spec.name: Scaling(tuple(_scaling_layers(core, x)))
        for spec, x in zip(sig.inputs, inputs_of(core), strict=True)
        if spec.dtype.startswith(("float", "bfloat")) and spec.shape
    }
    return {name: scaling for name, scaling in found.items() if scaling.layers}


def _scaling_layers(core: Any, tensor: Any) -> Iterator[Any]:
    """The scalings behind a tensor, as long as nothing else takes it."""
    takers = [node for node in nodes(core) if any(x is tensor for x in node.input_tensors)]
    if len(takers) != 1:
        return
    layer, inner = takers[0].operation, functional(takers[0].operation)
    if isinstance(layer, _SCALINGS) and len(takers[0].output_tensors) == 1:
        yield layer
        yield from _scaling_layers(core, takers[0].output_tensors[0])
    elif inner is not None and len(inputs_of(inner)) == 1:
        yield from _scaling_layers(inner, inputs_of(inner)[0])
