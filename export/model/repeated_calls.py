"""A model that is called again and again, on TensorFlow: the bits of its own calls in less time.

Called eagerly, a model of many layers takes longer for Python than for arithmetic. So for each shape of the inputs the
model itself is called once; later calls are of a graph traced from it, if the graph gives the same bits for the first
input. TensorFlow's graph optimizer is off: it merges operations, which rounds otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from .keras_graph import layers_below
from .signature import Signature
from .user_inputs import Arrays

_MANY = 16  # layers: with fewer, tracing takes longer than it saves
_STEP_BY_STEP = (keras.layers.RNN, keras.layers.TimeDistributed)  # called eagerly, many layers each

_Shapes = tuple[tuple[tuple[int | None, ...], str], ...]


class RepeatedCalls:
    """Calls of a model whose weights and dtype policies do not change; `declared` says which batches are free."""

    def __init__(self, model: keras.Model, declared: Signature) -> None:
        self._model, self._declared = model, declared
        self._first: dict[_Shapes, tuple[Arrays, Arrays]] = {}
        self._same: dict[_Shapes, bool] = {}
        self._graphs: dict[_Shapes, Callable[[Arrays], Arrays] | None] = {}
        self._kept: dict[str, Arrays] = {}
        self._traces = keras.backend.backend() == "tensorflow" and _is_slow(model)

    def __call__(self, arrays: Arrays) -> Arrays:
        """The flat outputs for flat inputs."""
        kept = self._kept.get(_digest(arrays)) if self._kept else None
        return self._called(arrays) if kept is None else kept

    def keep(self, arrays: Arrays) -> Arrays:
        """The same; a later call for these inputs has nothing left to compute."""
        return self._kept.setdefault(_digest(arrays), self._called(arrays))

    def _called(self, arrays: Arrays) -> Arrays:
        shapes = tuple((x.shape, x.dtype.str) for x in arrays)
        if not self._traces:
            return self._eager(arrays)
        if shapes not in self._first:
            outputs = self._eager(arrays)
            self._first[shapes] = arrays, outputs
            return outputs
        graph = self._graph(arrays)
        if graph is None:
            return self._eager(arrays)
        if shapes not in self._same:
            inputs, outputs = self._first[shapes]
            self._same[shapes] = _same_bits(graph(inputs), outputs)
        return graph(arrays) if self._same[shapes] else self._eager(arrays)

    def _eager(self, arrays: Arrays) -> Arrays:
        return [keras.ops.convert_to_numpy(y) for y in self._declared.call(self._model, arrays)]

    def _graph(self, arrays: Arrays) -> Callable[[Arrays], Arrays] | None:
        """The traced model for inputs of these shapes, at any batch that is free; None if it cannot be traced."""
        shapes: _Shapes = tuple(
            ((None, *x.shape[1:]) if x.ndim and spec.shape[:1] == (None,) else x.shape, x.dtype.str)
            for x, spec in zip(arrays, self._declared.inputs, strict=True)
        )
        if shapes not in self._graphs:
            try:
                self._graphs[shapes] = _traced(self._model, self._declared, shapes)
            except Exception:  # whatever a layer raises that needs numbers; called eagerly it has them
                self._graphs[shapes] = None
        return self._graphs[shapes]


def _is_slow(model: keras.Model) -> bool:
    layers = layers_below(model)
    return len(layers) >= _MANY or any(isinstance(layer, _STEP_BY_STEP) for layer in layers)


def _traced(model: keras.Model, declared: Signature, shapes: _Shapes) -> Callable[[Arrays], Arrays]:
    import tensorflow as tf

    def call(*flat: Any) -> list[Any]:
        return [tf.convert_to_tensor(y) for y in declared.call(model, flat)]

    specs = [tf.TensorSpec(shape, np.dtype(kind)) for shape, kind in shapes]
    concrete = tf.function(call, input_signature=specs, autograph=False).get_concrete_function()

    def run(arrays: Arrays) -> Arrays:
        with _as_written():
            return [y.numpy() for y in concrete(*map(tf.convert_to_tensor, arrays))]

    return run


@contextmanager
def _as_written() -> Iterator[None]:
    """TensorFlow runs graphs as they were traced."""
    import tensorflow as tf

    switch, options = "disable_meta_optimizer", tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({switch: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({switch: options.get(switch, False)})


def _same_bits(found: Arrays, expected: Arrays) -> bool:
    pairs = list(zip(found, expected, strict=True))
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for x in arrays:
        digest.update(f"{x.dtype.str}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
