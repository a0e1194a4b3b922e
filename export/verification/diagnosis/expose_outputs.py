"""Where an artifact that does not reproduce its model goes wrong: the first layer whose output differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from ...formats import format_of
from ...model.facts import ModelFacts
from ...model.keras_graph import layers_below
from ...model.user_inputs import NamedArrays
from ..cases import cases_to_try
from ..compare import compare
from ..pieces import in_pieces
from .ignored_failure import failure_ignored

_ROWS = 4


def first_divergence(
    facts: ModelFacts, make: Callable[[ModelFacts, Path], object], suffix: str, given: Sequence[NamedArrays] = ()
) -> str | None:
    """Convert the model once more with every layer's output exposed, and name the first layer whose output differs.

    Of what is `given` a few rows are looked at: all outputs of all layers for all rows would fill the memory.
    Exposed outputs keep a converter from merging layers. So the answer is None where a fault needs the merge, where the
    model is no graph of layers, and where it is a nested model that differs: its layers are not looked at here.
    """
    exposed = _exposed(facts.model)
    if exposed is None:
        return None
    with failure_ignored(), tempfile.TemporaryDirectory() as folder:  # a second failure must not hide the first
        path = Path(folder) / f"exposed{suffix}"
        known = ModelFacts.of(exposed)
        make(known, path)
        runners = format_of(path).runners(path)
        few = [(name, next(in_pieces(arrays, known.declared.batch, _ROWS))[0]) for name, arrays in given]
        report = compare(known, runners, path, cases_to_try(known, runners, path, few))
        layers = dict(zip(known.declared.outputs, exposed.output_names, strict=True))
        first = next((layers[name] for name, output in report.outputs.items() if not output.ok), None)
        return (
            None
            if first in {layer.name for layer in layers_below(facts.model) if isinstance(layer, keras.Model)}
            else first
        )
    return None


def _exposed(model: keras.Model) -> keras.Model | None:
    if not getattr(model, "inputs", None):
        return None
    operations = model.layers if isinstance(model, keras.Sequential) else model.operations
    outputs = []
    for operation in operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        try:
            output = operation.output
        except (AttributeError, ValueError):  # called more than once, so it has no single output
            continue
        if isinstance(output, keras.KerasTensor) and output.dtype.startswith("float"):
            outputs.append(output)
    return keras.Model(model.inputs, outputs) if outputs else None
