"""A Keras model as a TensorFlow graph with one inference signature: what both converters read.

Norm layers run their lowered form while the graph is recorded. Needs Keras on the TensorFlow backend.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..errors import ExportError
from ..lowerings import lowered
from ..model.precision import in_float32
from ..model.signature import Signature
from ..options import NormForm
from .frozen_graph import write_frozen
from .portable_ops import portable
from .purity import check_repeatable, no_graph


class _Written(keras.StatelessScope):
    """Keeps what layers write, seeds above all, out of the graph, and knows into which variables."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: list[keras.Variable] = []

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        self.variables.append(update[0])
        super().add_update(update)


def record(
    model: keras.Model,
    directory: str | os.PathLike[str],
    sig: Signature,
    channels_first: bool,
    form: NormForm = "fast",
    frozen_below: int = 0,
) -> None:
    """Record `model` at inference with the shapes of `sig` and write it into `directory`.

    With weights of up to `frozen_below` bytes it is written as a frozen graph where that can be, else as a SavedModel;
    with 0 always so.

    Inputs and outputs are called by their positions, in as many digits as keep them in order when sorted.
    `channels_first` is the layout that the runtime's convolutions want, `form` is that of the norms.

    Raises:
        ExportError: If the model does not run in a TensorFlow graph, or if its outputs depend on more than its inputs.
    """
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=f"input_{i:04}") for i, spec in enumerate(sig.inputs)]

    changed: list[tf.Variable] = []

    def serve(*flat: tf.Tensor) -> dict[str, tf.Tensor]:
        with _Written() as state:
            outputs = sig.call(model, flat)
        changed[:] = [variable.value for variable in state.variables]
        return {f"output_{i:04}": tf.convert_to_tensor(y) for i, y in enumerate(outputs)}

    with in_float32(model), lowered(model, channels_first, form), portable(channels_first):
        try:
            concrete = tf.function(serve, input_signature=specs, autograph=False).get_concrete_function()
        except Exception as error:  # whatever a layer's call raises
            raise ExportError(no_graph(model, error)) from error
    check_repeatable(model, concrete, changed)
    try:
        if not (frozen_below and write_frozen(concrete, Path(directory), frozen_below)):
            _write_saved_model(model, concrete, directory)
    except (tf.errors.OpError, OSError) as error:  # no room, mostly
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise ExportError(f"The traced model could not be written to a temporary folder: {reason}.") from error
    del concrete, serve
    gc.collect()  # graphs stand in reference cycles, which pile up between exports


def _write_saved_model(model: keras.Model, concrete: Any, directory: str | os.PathLike[str]) -> None:
    # Not the function: beside its signature it would be traced once more, and with the norms as they are.
    module = tf.Module()
    module.variables_of_model = [*(variable.value for variable in model.variables), *concrete.graph.variables]
    without_gradients = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # the converters read none
    try:
        tf.saved_model.save(module, os.fspath(directory), signatures=concrete, options=without_gradients)
    except ValueError as error:  # a variable called as its layer is, by a name that TensorFlow does not allow
        raise ExportError(no_graph(model, error)) from error
