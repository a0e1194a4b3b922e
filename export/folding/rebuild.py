"""Builds the folded model: every layer anew, with its own weights or the planned ones, without the folded norms.

The given model is only read. Layers, inputs and outputs keep their names; nested models stay nested.
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
from keras import tree

from ..errors import FoldError, reason_of
from ..model.creation_order import creation_order
from ..model.keras_graph import (
    children,
    declared_output_shape,
    functional,
    given,
    input_structure,
    inputs_of,
    is_used,
    maker,
    nodes,
    output_structure,
    outputs_of,
    uncalled_copy,
    unwrapped,
)
from ..model.projections import variable_of
from .copy_layer import constructs, copy_state, from_config
from .plan import Plan
from .traced_layers import TracedLayers

# (the functional graph, its symbolic tensor), by identity, to the tensor of the new model
Tensors = dict[tuple[int, int], Any]


def apply(model: keras.Model, plan: Plan, traced_layers: TracedLayers) -> tuple[keras.Model, Tensors]:
    """The model with the plan carried out, and which new tensor stands for which old one."""
    rebuild = _Rebuild(plan, traced_layers)
    new = rebuild.model(model)
    rebuild.restore_initializers()
    rebuild.copy_state()
    if model.compiled:
        # A loss or metric that does not come back from its config leaves the new model to be compiled by its owner.
        with contextlib.suppress(Exception):
            new.compile_from_config(model.get_compile_config())
    return new, rebuild.tensors


class _Rebuild:
    def __init__(self, plan: Plan, traced_layers: TracedLayers) -> None:
        self.plan = plan
        self.traced_layers = traced_layers
        self.tensors: Tensors = {}
        self.clones: dict[Any, Any] = {}
        # Old and new layer, enclosing ones first.
        self.pairs: list[tuple[Any, Any]] = []
        self.initializers: list[tuple[Any, str, Any]] = []

    # Models

    def model(self, model: Any) -> Any:
        core = self.traced_layers.core(model)
        place = len(self.pairs)
        sequential = isinstance(model, keras.Sequential) and not self.traced_layers.holds(model)
        new = self._sequential(model, core) if sequential else self._functional(model, core)
        self.pairs.insert(place, (model, new))
        return new

    def _sequential(self, model: Any, core: Any) -> Any:
        leaves = [maker(x) for x in outputs_of(core)]
        first = children(model)[0]
        layers = [] if not isinstance(first, keras.layers.InputLayer) else [self._copy_input(first)]
        for layer in model.layers:
            if unwrapped(layer) not in self.plan.removed:
                layers.append(self.layer(layer))
            elif layer in leaves:
                layers.append(self._stand_in(layer))
        cls = type(model) if constructs(model, "layers") else keras.Sequential
        new = cls(layers, name=self.traced_layers.name(model))
        built = functional(new)
        fresh = iter(nodes(built))
        current = inputs_of(built)
        self._map(core, inputs_of(core), current)
        for node in nodes(core):
            if self._goes(core, node):
                self._map(core, node.outputs, current)
                continue
            current = next(fresh).outputs
            self._map(core, node.outputs, current)
        return new

    def _functional(self, model: Any, core: Any) -> Any:
        inputs = tree.map_structure(self._input, input_structure(core))
        self._map(core, inputs_of(core), tree.flatten(inputs))
        for node in creation_order(core):
            args, kwargs = (
                tree.map_structure(lambda x: self.tensors.get((id(core), id(x)), x), part)
                for part in (node.arguments.args, node.arguments.kwargs)
            )
            operation = node.operation
            tensors = given(args, kwargs, keras.KerasTensor)
            if self._goes(core, node):
                outputs = tensors[:1]
            elif operation in self.plan.standalone:
                outputs = [self.layer(operation)(tensors[0])]
            elif unwrapped(operation) in self.plan.removed:
                outputs = [self._stand_in(operation)(tensors[0])]
            elif self.traced_layers.holds(operation):
                flag = {name: value for name, value in kwargs.items() if name == "training"}
                outputs = tree.flatten(self.layer(operation)(tensors[0] if len(tensors) == 1 else tensors, **flag))
            else:
                outputs = tree.flatten(self.layer(operation)(*args, **kwargs))
            self._map(core, node.outputs, outputs)
        outputs = tree.map_structure(lambda x: self.tensors[(id(core), id(x))], output_structure(core))
        for x in tree.flatten(inputs):
            if not is_used(maker(x)):
                keras.layers.Identity()(x)  # Keras 3.12 makes no model with an input that nothing uses
        keeps_class = constructs(model, "inputs", "outputs") and not self.traced_layers.holds(model)
        return (type(model) if keeps_class else keras.Model)(inputs, outputs, name=self.traced_layers.name(model))

    def _input(self, tensor: Any) -> Any:
        origin = maker(tensor)
        if isinstance(origin, keras.layers.InputLayer):
            return self._copy_input(origin).output
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)

    @staticmethod
    def _copy_input(layer: Any) -> Any:
        new = type(layer).from_config(layer.get_config())
        # An input without a given name has a tensor of another name than its layer, and callers see the tensor's.
        new.output.name = layer.output.name
        return new

    def _goes(self, core: Any, node: Any) -> bool:
        """Whether a call vanishes. A norm that names an output of its model leaves a linear activation of its name."""
        outputs = [maker(x) for x in outputs_of(core)]
        return unwrapped(node.operation) in self.plan.removed and node.operation not in outputs

    def _map(self, core: Any, old: Any, new: Any) -> None:
        for x, y in zip(old, new, strict=True):
            self.tensors[(id(core), id(x))] = y

    # Layers

    def layer(self, layer: Any) -> Any:
        if layer not in self.clones:
            if self.traced_layers.core(layer) is not None:
                self.clones[layer] = self.model(layer)
            else:
                self.clones[layer] = clone = self._clone(layer)
                if isinstance(layer, keras.Layer):
                    self.pairs.append((layer, clone))
        return self.clones[layer]

    def _stand_in(self, norm: Any) -> Any:
        if norm not in self.clones:
            self.clones[norm] = keras.layers.Activation(
                "linear", name=self.traced_layers.name(norm), dtype=norm.dtype_policy
            )
        return self.clones[norm]

    def _clone(self, layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return uncalled_copy(layer)
        name = self.traced_layers.name(layer)
        if layer in self.plan.standalone:
            return keras.layers.DepthwiseConv2D(1, data_format="channels_last", name=name, dtype=layer.dtype_policy)
        try:
            if layer in self.plan.plain:
                inside = self.plan.plain[layer].layer
                return self._quick(from_config(inside, {**inside.get_config(), "name": name}))
            config = {**layer.get_config(), "name": name}
            if type(layer) is keras.layers.TimeDistributed:
                del config["layer"]
                return type(layer)(self.layer(layer.layer), **config)
            if type(layer) is keras.layers.Lambda:
                # Its function is here already: to go through its byte code would need unsafe deserialization.
                return keras.layers.Lambda(
                    layer.function,
                    output_shape=declared_output_shape(layer),
                    mask=layer.mask,
                    arguments=layer.arguments,
                    name=name,
                    dtype=layer.dtype_policy,
                )
            return self._quick(from_config(layer, {**config, **self.plan.config(layer)}))
        except FoldError:
            raise
        except Exception as error:  # whatever a layer's own get_config and from_config raise
            raise FoldError(
                f"fold builds every layer anew from its get_config(); the layer {layer.name!r} "
                f"({type(layer).__name__}) does not come back from it: {reason_of(error)}"
            ) from error

    def _quick(self, clone: Any) -> Any:
        """Let a layer start from zeros: its weights are overwritten later, and to draw random ones is slow."""
        if type(clone).__module__.startswith("keras.src.layers.") and not clone.built:
            for name in [name for name in vars(clone) if name.endswith("_initializer")]:
                self.initializers.append((clone, name, getattr(clone, name)))
                setattr(clone, name, keras.initializers.Zeros())
        return clone

    def restore_initializers(self) -> None:
        for layer, name, initializer in self.initializers:
            setattr(layer, name, initializer)

    # State

    def copy_state(self) -> None:
        for old, new in self.pairs:
            new.trainable = old.trainable
        for old, new in self.pairs:
            if self.traced_layers.core(old) is not None or type(old) is keras.layers.TimeDistributed:
                continue
            if old in self.plan.standalone:
                map_ = self.plan.standalone[old]
                new.kernel.assign(map_.scale.reshape(1, 1, -1, 1))
                new.bias.assign(map_.shift)
            elif old in self.plan.plain:
                plain = self.plan.plain[old]
                copy_state(plain.layer, new)
                if plain.kernel is not None:
                    new.kernel.assign(plain.kernel)
            elif old in self.plan.edits:
                self._assign_planned(old, new)
            else:
                copy_state(old, new)

    def _assign_planned(self, old: Any, new: Any) -> None:
        names = tuple(dict.fromkeys(n for edit in self.plan.edits[old] for n in edit.weights))
        planned = self.plan.read(old, names)
        changed = {id(variable_of(old, name)) for name in names}
        rest = [v for v in old.variables if id(v) not in changed]
        filled = {id(variable_of(new, name)) for name in names}
        for source, target in zip(rest, [v for v in new.variables if id(v) not in filled], strict=True):
            target.assign(source.value)
        for name in names:
            variable, array = variable_of(new, name), planned[name]
            if variable is not None:
                variable.assign(np.zeros(variable.shape) if array is None else array)
            before = variable_of(old, name)
            if variable is not None and before is not None and variable.trainable != before.trainable:
                variable.trainable = before.trainable
