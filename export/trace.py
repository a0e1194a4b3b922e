"""A Keras model as a TensorFlow SavedModel with one inference signature: what both converters read.

Norm layers run their lowered form while the graph is recorded. Needs Keras on the TensorFlow backend.
"""

from __future__ import annotations

import gc
import os

import keras
import tensorflow as tf

from .lowerings import lowered
from .precision import in_float32
from .signature import Signature


def trace(
    model: keras.Model, directory: str | os.PathLike, sig: Signature, channels_first: bool, half: bool = False
) -> None:
    """Record `model` at inference with the shapes of `sig` and write it as a SavedModel.

    Inputs and outputs are called by their positions, in as many digits as keep them in order when sorted.
    `channels_first` is the layout that the runtime's convolutions want, `half` that it may compute in half precision.
    """
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=f"input_{i:04}") for i, spec in enumerate(sig.inputs)]

    def serve(*flat: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = sig.call(model, flat)
        return {f"output_{i:04}": tf.convert_to_tensor(y) for i, y in enumerate(outputs)}

    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    with in_float32(model), lowered(model, channels_first, half):
        module.serve = tf.function(serve, input_signature=specs, autograph=False)
        concrete = module.serve.get_concrete_function()
    tf.saved_model.save(module, os.fspath(directory), signatures=concrete)
    del module, concrete, serve
    gc.collect()  # graphs stand in reference cycles, which pile up between exports
