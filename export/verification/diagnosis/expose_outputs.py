"""Where an artifact that does not reproduce its model goes wrong: the first layer whose output differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras

from ...formats import format_of
from ...model.facts import ModelFacts
from ..cases import cases_to_try
from ..compare import compare
from .ignored_failure import failure_ignored


def first_divergence(facts: ModelFacts, make: Callable[[ModelFacts, Path], object], suffix: str) -> str | None:
    """Convert the model once more with every layer's output exposed, and name the first layer whose output differs.

    Exposed outputs keep a converter from merging layers. So the answer is None where a fault needs the merge, and where
    the model is no graph of layers.
    """
    exposed = _exposed(facts.model)
    if exposed is None:
        return None
    with failure_ignored(), tempfile.TemporaryDirectory() as folder:  # a second failure must not hide the first
        path = Path(folder) / f"exposed{suffix}"
        known = ModelFacts.of(exposed)
        make(known, path)
        runners = format_of(path).runners(path)
        report = compare(known, runners, path, cases_to_try(known, runners, path))
        layers = dict(zip(known.declared.outputs, exposed.output_names, strict=True))
        return next((layers[name] for name, output in report.outputs.items() if not output.ok), None)
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
