"""Where an artifact that does not reproduce its model goes wrong: the first layer whose output differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras

from ...formats import target_of
from ...model.signature import signature
from ..verify import cases_to_try, compare


def first_divergence(model: keras.Model, make: Callable[[keras.Model, Path], object], suffix: str) -> str | None:
    """Convert `model` once more with every layer's output exposed and name the first that is off.

    Exposed outputs keep a converter from merging layers, so a fault that needs the merge does not show again: then, and
    where the model is no graph of layers, the answer is None.
    """
    exposed = _exposed(model)
    if exposed is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"exposed{suffix}"
        try:
            make(exposed, path)
            runners = target_of(path).runners(path)
            report = compare(exposed, runners, path, cases_to_try(exposed, runners, path))
        except Exception:  # a second failure must not hide the first
            return None
    layers = dict(zip(signature(exposed).outputs, exposed.output_names, strict=True))
    return next((layers[name] for name, output in report.outputs.items() if not output.ok), None)


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
        except (AttributeError, ValueError):  # called more than once: no single output to speak of
            continue
        if isinstance(output, keras.KerasTensor) and output.dtype.startswith("float"):
            outputs.append(output)
    return keras.Model(model.inputs, outputs) if outputs else None
