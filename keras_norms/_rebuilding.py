"""Builds a model anew with other norms: clones of all other layers, with their state."""

from __future__ import annotations

import inspect
import tempfile
from typing import Any

import keras
from keras import tree

from keras_norms._channel_affine import ChannelAffine
from keras_norms._conversions import Conversion, Options, Stays, assign, convert
from keras_norms._norm_facts import told
from keras_norms._norms import SAMPLE_NORMS, Norm, layers_below, norms_of
from keras_norms.convert_report import ConvertedNorm, ConvertReport


def check_graph(model: Any) -> None:
    """Checks that cloning can build the model anew."""
    try:
        graph = model.inputs is not None and type(model).call.__module__.startswith("keras.")
    except (AttributeError, ValueError):
        graph = False
    if not graph:
        names = ", ".join(norm.name for norm in norms_of(model)) or "none"
        raise ValueError(
            "convert_norms builds a graph of layers anew, so the model has to be Sequential or Functional. Received: "
            f"{model.name!r} ({type(model).__name__}), which computes its output in Python code. Change its norms "
            f"({names}) in that code, and copy the weights with get_weights and set_weights."
        )


class Rebuilding:
    """One conversion: which norms are to go, what became of them, and every old layer with its new one."""

    def __init__(self, to: str, options: Options, norms: list[Norm]) -> None:
        self.to, self.options = to, options
        self.found = {id(norm.layer): (norm, convert(norm.layer, to, options)) for norm in norms}
        self.pairs: list[tuple[Any, Any]] = []
        self.placed: set[int] = set()

    def rebuild(self, model: Any) -> Any:
        # Keras' own copies the loss and the metrics; what does not come back is the owner's to compile.
        compiled, model.compiled = model.compiled, False
        try:
            new = self._cloned(model)
        finally:
            model.compiled = compiled
        for old, fresh in self.pairs:
            _copy_state(old, fresh)
        for key in self.placed:
            _, conversion = self.found[key]
            assert isinstance(conversion, Conversion)
            assign(conversion.layer, conversion.weights)
        return new

    def _cloned(self, model: Any) -> Any:
        if isinstance(model, keras.Sequential):
            return keras.models.clone_model(model, clone_function=self._clone, recursive=True)
        # Keras' own would name the inputs after their tensors, not after their layers.
        layer_of = {id(x.output): x for x in model.layers if isinstance(x, keras.layers.InputLayer)}
        inputs = tree.map_structure(
            lambda x: type(layer_of[id(x)]).from_config(layer_of[id(x)].get_config()).output, model.input
        )
        return keras.models.clone_model(
            model, input_tensors=inputs, clone_function=self._clone, call_function=_call, recursive=True
        )

    def _clone(self, layer: Any) -> Any:
        conversion = self._conversion(layer)
        if conversion is not None:
            self.placed.add(id(layer))
            return conversion.layer
        if not isinstance(layer, keras.Layer):
            return _operation(layer)
        inside = getattr(layer, "layer", None) if isinstance(layer, keras.layers.Wrapper) else None
        if inside is not None and any(self._conversion(part) for part in (inside, *layers_below(inside))):
            return self._wrapper(layer, inside)
        new = _anew(layer)
        self.pairs.append((layer, new))
        return new

    def _conversion(self, layer: Any) -> Conversion | None:
        _, conversion = self.found.get(id(layer), (None, None))
        return conversion if isinstance(conversion, Conversion) else None

    def _wrapper(self, layer: Any, inside: Any) -> Any:
        """A wrapper around what its inside becomes."""
        fresh = self._cloned(inside) if isinstance(inside, keras.Model) else self._clone(inside)
        config = {name: value for name, value in layer.get_config().items() if name != "layer"}
        new = type(layer)(fresh, **config)
        new.trainable = layer.trainable
        return new

    def report(self, model: Any, new: Any) -> ConvertReport:
        converted, kept = [], []
        for key, (norm, conversion) in self.found.items():
            if isinstance(conversion, Stays):
                kept.append((norm.name, conversion.reason))
            elif key not in self.placed:
                kept.append((norm.name, "the layer that it stands in makes it in code of its own"))
            else:
                became = told(conversion.layer) if self.to != "none" else "scale and shift"
                if self.to == "frozen":
                    became += " (frozen)"
                converted.append(ConvertedNorm(norm.name, told(norm.layer), became, conversion.exact, conversion.told))
        notes = []
        if type(new) is not type(model):
            notes.append(
                f"The model is a plain {type(new).__name__} now: its class {type(model).__name__} is not kept."
            )
        return ConvertReport(tuple(converted), tuple(kept), tuple(notes))


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """The call that was recorded of another norm: `training` and `mask` go to those alone that take them."""
    norm: Any = layer
    if isinstance(layer, ChannelAffine) and kwargs.get("training"):
        raise ValueError(
            'to="none" merges the moving statistics of a norm. '
            f"Received: {norm.name!r}, which is called with training=True, and so never uses them. "
            "Leave it out with `where`."
        )
    if isinstance(layer, (*SAMPLE_NORMS, ChannelAffine)):
        taken = inspect.signature(norm.call).parameters
        kwargs = {name: value for name, value in kwargs.items() if name in taken}
    return norm(*args, **kwargs)


def _anew(layer: Any) -> Any:
    """A layer of the same config."""
    try:
        if type(layer) is keras.layers.Lambda:
            # Its function is here already: to go through its byte code would need unsafe deserialization.
            config = {name: layer.get_config()[name] for name in ("name", "trainable", "dtype")}
            return keras.layers.Lambda(layer.function, mask=layer.mask, arguments=layer.arguments, **config)
        with keras.saving.custom_object_scope(
            {type(part).__name__: type(part) for part in (layer, *layers_below(layer))}
        ):
            return type(layer).from_config(layer.get_config())
    except Exception as error:  # whatever a layer's own get_config and from_config raise
        raise ValueError(
            "convert_norms builds every layer anew from its get_config(). "
            f"Received: the layer {layer.name!r} ({type(layer).__name__}), which does not come back from it: {error}. "
            "Give it a get_config() with all of its arguments."
        ) from error


def _operation(operation: Any) -> Any:
    """An operation that is no layer has no weights."""
    try:
        return type(operation).from_config(operation.get_config())
    except Exception:  # one that cannot be made again serves both models
        return operation


def _with_parts(layer: Any) -> list[Any]:
    """The layer, and the layers below it, enclosing ones first."""
    return [layer, *(part for child in layers_below(layer) for part in _with_parts(child))]


def _copy_state(old: Any, new: Any) -> None:
    """Every variable of a layer, and what it keeps outside of variables (vocabularies)."""
    # Setting the flag of a layer sets those below it, so enclosing ones come first. Configs hold the outermost alone.
    for source, target in zip(_with_parts(old), _with_parts(new), strict=True):
        target.trainable = source.trainable
    if hasattr(old, "save_assets") and hasattr(new, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    for source, target in zip(old.variables, new.variables, strict=True):
        target.assign(source.value)
        if source.trainable != target.trainable:
            target.trainable = source.trainable
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()
