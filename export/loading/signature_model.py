"""A signature of a SavedModel, a function of TensorFlow, as a Keras model of one layer that calls it.

Such a function has no layers, so there is nothing to fold; it is exported, and compared with itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras

from ..errors import ExportError, reason_of
from .graph_safety import check_operations
from .keras_saved_model import KerasSavedModel

_Shape = tuple[int | None, ...]
_SIZES = (2, 3)  # of free dimensions, where a function is run to see the rank of what it makes
# What Keras and its exporters call the one that serves, in the order in which it is taken where none is asked for.
_USUAL = ("serving_default", "serve", "default")


class SignatureLayer(keras.layers.Layer):
    """A layer that calls a function of TensorFlow with a dict of tensors and returns a dict of tensors."""

    def __init__(self, function: Any, variables: Any, shapes: dict[str, _Shape], name: str) -> None:
        super().__init__(name=name, trainable=False, autocast=False)
        self._function = function
        self._shapes = shapes
        self._variables = variables  # the function itself holds them weakly

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the function computes."""
        found: dict[str, Any] = self._function(**inputs)
        for name, shape in self._shapes.items():
            found[name].set_shape(shape)
        return found

    def get_config(self) -> dict[str, Any]:
        """Nothing: no file of Keras holds a function of TensorFlow."""
        raise ExportError(
            f"'{self.name}' is a signature of a SavedModel, a function of TensorFlow, which no file of Keras holds. "
            "Export it: to_tflite or to_onnx, or `keras-norms export`."
        )

    def compute_output_spec(self, inputs: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  (Keras gives them)
        """The shapes and types that the function states, or showed when it was run."""
        outputs = self._function.structured_outputs.items()
        return {name: keras.KerasTensor(self._shapes[name], y.dtype.name) for name, y in outputs}


def is_signature(model: keras.Model) -> bool:
    """Whether a model is a signature of a SavedModel."""
    return any(isinstance(layer, SignatureLayer) for layer in model.layers)


def signature_model(folder: Path, read: KerasSavedModel, wanted: str | None) -> tuple[keras.Model, str]:
    """The model of one signature, and its name.

    Raises:
        ExportError: If there is none of this name, or several and none is asked for; if it may do more than compute;
            or if its inputs and outputs are no tensors of known rank.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "it holds functions of TensorFlow, and Keras runs on "
            f"{keras.backend.backend()} here. Set KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf

    check_operations(read.operations, read.functions)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # whatever is wrong with a graph
        raise ExportError(f"TensorFlow does not load it: {reason_of(error)}") from error
    name = _chosen(sorted(loaded.signatures), wanted)
    function = loaded.signatures[name]
    try:
        return _model(function, loaded, name), name
    except (ValueError, TypeError) as error:
        raise ExportError(f"its signature '{name}' cannot be called: {reason_of(error)}") from error


def _chosen(names: list[str], wanted: str | None) -> str:
    if not names:
        raise ExportError("it has no signature: save it with one, tf.saved_model.save(module, path, signatures=...)")
    if wanted is None:
        wanted = next((name for name in _USUAL if name in names), names[0] if len(names) == 1 else None)
    if wanted is None:
        raise ExportError(
            f"it has several signatures, {', '.join(names)}: say which, signature= (--signature on the command)"
        )
    if wanted not in names:
        raise ExportError(f"it has no signature '{wanted}'; it has {', '.join(names)}")
    return wanted


def _model(function: Any, loaded: Any, name: str) -> keras.Model:
    _, specs = function.structured_input_signature
    for spec in (*specs.values(), *function.structured_outputs.values()):
        if not hasattr(spec, "dtype") or (spec.shape.rank is None and spec in specs.values()):
            raise ExportError(
                f"its signature '{name}' has '{getattr(spec, 'name', spec)}', which is no tensor of a known rank"
            )
    inputs = {
        key: keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=_plain(key))
        for key, spec in specs.items()
    }
    layer = SignatureLayer(function, loaded, _output_shapes(function, specs, name), _plain(name))
    return keras.Model(inputs, layer(inputs), name=f"{_plain(name)}_signature")


def _output_shapes(function: Any, specs: dict[str, Any], name: str) -> dict[str, _Shape]:
    """The shapes that a function states; where it states no rank, what it makes of two sizes of its free dimensions."""
    stated = {key: y.shape for key, y in function.structured_outputs.items()}
    if all(shape.rank is not None for shape in stated.values()):
        return {key: tuple(shape) for key, shape in stated.items()}
    few, more = (_shapes_for(function, specs, size) for size in _SIZES)
    found = {
        key: tuple(shape) if shape.rank is not None else _common(few[key], more[key]) for key, shape in stated.items()
    }
    unknown = [key for key, shape in found.items() if shape is None]
    if unknown:
        raise ExportError(f"its signature '{name}' has '{unknown[0]}', whose rank differs from input to input")
    return {key: shape for key, shape in found.items() if shape is not None}


def _shapes_for(function: Any, specs: dict[str, Any], size: int) -> dict[str, tuple[int, ...]]:
    import tensorflow as tf

    given = {key: tf.zeros([n or size for n in spec.shape], spec.dtype) for key, spec in specs.items()}
    return {key: tuple(y.shape) for key, y in function(**given).items()}


def _common(few: tuple[int, ...], more: tuple[int, ...]) -> _Shape | None:
    if len(few) != len(more):
        return None
    return tuple(a if a == b else None for a, b in zip(few, more, strict=True))


def _plain(name: str) -> str:
    """A name that Keras takes: without '/'."""
    return re.sub("/", "_", name)
