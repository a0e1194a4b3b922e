"""What goes in and what comes out of a model: names, shapes, dtypes, in Keras' order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from numbers import Integral
from typing import Any

import keras

from ..errors import ExportError, reason_of
from .keras_graph import layers_of, maker
from .layer_names import names_apart
from .original_names import original_names
from .patching import patched_calls
from .precision import in_float32
from .recorded_shapes import is_shape, recorded_shapes
from .spec import Spec as Spec


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model as flat lists, and the structure that `model(...)` takes and returns."""

    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    structure: Any = 0

    def call(self, model: keras.Model, flat: Sequence[Any]) -> list[Any]:
        """Run `model` in inference mode on the flat inputs; return the flat outputs."""
        outputs: list[Any] = keras.tree.flatten(
            model(keras.tree.pack_sequence_as(self.structure, list(flat)), training=False)
        )
        return outputs

    def with_batch(self, batch_size: int | None) -> Signature:
        """The same with the first dimension of every input fixed at `batch_size`; unchanged where that is None.

        Raises:
            ExportError: If `batch_size` is not a positive integer, or if the model fixes another one.
        """
        if batch_size is None:
            return self
        if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
            raise ExportError(f"batch_size must be a positive integer, or None to leave it free; got {batch_size!r}.")
        return replace(self, inputs=tuple(_fix_batch(spec, int(batch_size)) for spec in self.inputs))

    @property
    def batch(self) -> int | None:
        """The batch size that all inputs fix; None where it is free, or differs from input to input."""
        sizes = {spec.shape[0] for spec in self.inputs if spec.shape}
        return sizes.pop() if len(sizes) == 1 else None

    def with_free_batch(self) -> Signature:
        """The same with the first dimension of every input free; a scalar has none."""
        specs = (replace(spec, shape=(None, *spec.shape[1:])) if spec.shape else spec for spec in self.inputs)
        return replace(self, inputs=tuple(specs))


def signature(model: keras.Model, batch_size: int | None = None) -> Signature:
    """Read the signature of a built model; `batch_size` fixes the first dimension of every input.

    Outputs of a dict are named by its keys, others by the layers that make them, as Keras does. Two outputs of one
    layer get `_1`, `_2`, ... after the first. Layers of a loaded file are called as they are there.

    Raises:
        ExportError: If `batch_size` is not positive or contradicts the model, or if the input shapes of a subclassed
            model are unknown because it was never called.
    """
    if isinstance(model, keras.Sequential):
        # A Sequential that was never given an Input keeps the batch of its first call; that is no wish of its author.
        inputs = tuple(Spec(x.name, (None, *x.shape[1:]), x.dtype) for x in _symbolic_inputs(model))
        structure = 0
        outputs: tuple[str, ...] = (model.layers[-1].name if model.layers else model.inputs[0].name,)
    elif getattr(model, "inputs", None):
        inputs, structure = _symbolic_inputs(model), model.input
        outputs = _names(model.output, model.output_names)
    else:
        inputs, structure = _recorded_inputs(model)
        outputs = _output_names(model, inputs, structure)
    if names := original_names(model):
        inputs = tuple(replace(spec, name=names.get(spec.name, spec.name)) for spec in inputs)
        by_layers = isinstance(model, keras.Sequential) or not isinstance(model.output, dict)
        outputs = tuple(names.get(name, name) for name in outputs) if by_layers else outputs
    _check_unique([spec.name for spec in inputs])
    return Signature(inputs, outputs, structure).with_batch(batch_size)


def _symbolic_inputs(model: keras.Model) -> tuple[Spec, ...]:
    """One spec an input, named by its InputLayer: an unnamed Input's tensor has a name of no use to anyone."""
    return tuple(Spec(maker(x).name, tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in model.inputs)


def _fix_batch(spec: Spec, batch_size: int) -> Spec:
    if not spec.shape:
        return spec
    if spec.shape[0] not in (None, batch_size):
        raise ExportError(
            f"The model fixes the batch of input '{spec.name}' at {spec.shape[0]}, against batch_size={batch_size}. "
            "Leave batch_size out."
        )
    return replace(spec, shape=(batch_size, *spec.shape[1:]))


def _recorded_inputs(model: keras.Model) -> tuple[tuple[Spec, ...], Any]:
    """The input shapes that a subclassed model was built with; their batch dimension is free."""
    shapes = recorded_shapes(model)
    if shapes is None:
        raise ExportError(
            f"The input shapes of '{model.name}' are unknown: it is a subclassed model that was never called. "
            "Call it once on a batch of real inputs."
        )
    paths: list[tuple[str, tuple[int | None, ...]]] = []
    structure = _map_shapes(shapes, "", paths)
    names = [path or "input" for path, _ in paths]
    if len(names) > 1:
        names = [name if not name.isdigit() else f"input_{name}" for name in names]
    specs = [Spec(n, (None, *shape[1:]), model.input_dtype) for n, (_, shape) in zip(names, paths, strict=True)]
    for i in _looked_up(model, specs, structure):
        specs[i] = Spec(specs[i].name, specs[i].shape, "int32")
    return tuple(specs), structure


def _looked_up(model: keras.Model, specs: Sequence[Spec], structure: Any) -> set[int]:
    """Which inputs embeddings look up: those are integers, though Keras records shapes alone."""
    embeddings = [layer for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)]
    fed: list[Any] = []
    found: set[int] = set()

    def enter(call: Any, *args: Any, **kwargs: Any) -> Any:
        fed[:] = keras.tree.flatten(args[:1])
        return call(*args, **kwargs)

    def look(call: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        found.update(i for i, x in enumerate(fed) if x is inputs)
        return call(inputs, *args, **kwargs)

    if not embeddings:
        return found

    def heard(layer: Any) -> Any:
        return wraps(layer.call)(partial(enter if layer is model else look, layer.call))

    with in_float32(model), patched_calls((model, *embeddings), heard):  # float32 casts no inputs
        _outputs(model, specs, structure)
    return found


def _outputs(model: keras.Model, specs: Sequence[Spec], structure: Any) -> Any:
    symbols = [keras.KerasTensor(spec.shape, spec.dtype) for spec in specs]
    try:
        return model.compute_output_spec(keras.tree.pack_sequence_as(structure, symbols))
    except Exception as error:  # whatever the user's call raises
        raise ExportError(
            f"The call of '{model.name}' must take one tensor, list or dict, as Keras recorded it "
            f"({', '.join(map(str, specs))}), and run on symbolic tensors; it does not: {reason_of(error)}"
        ) from error


def _map_shapes(node: Any, path: str, found: list[tuple[str, tuple[int | None, ...]]]) -> Any:
    """Replace each shape in a structure by a leaf, and list them as (path, shape) in flattening order."""
    if isinstance(node, dict):
        return {key: _map_shapes(node[key], f"{path}_{key}".strip("_"), found) for key in sorted(node)}
    if is_shape(node):
        found.append((path, tuple(node)))
        return 0
    return [_map_shapes(item, f"{path}_{i}".strip("_"), found) for i, item in enumerate(node)]


def _output_names(model: keras.Model, inputs: tuple[Spec, ...], structure: Any) -> tuple[str, ...]:
    outputs = _outputs(model, inputs, structure)
    leaves = len(keras.tree.flatten(outputs))
    return _names(outputs, ["output"] if leaves == 1 else [f"output_{i}" for i in range(leaves)])


def _names(outputs: Any, fallback: Sequence[str]) -> tuple[str, ...]:
    return names_apart(_keys(outputs) if isinstance(outputs, dict) else fallback, ())


def _keys(outputs: dict[str, Any]) -> list[str]:
    """One name a leaf, in flattening order (sorted keys), nested keys joined by an underscore."""
    return ["_".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(outputs)]


def _check_unique(names: list[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ExportError(
            f"Inputs must have different names; '{twice[0]}' occurs more than once. Name them: Input(..., name=)."
        )
