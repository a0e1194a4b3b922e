"""Where a given artifact goes wrong: layers' outputs are looked for among the values between its operations.

A converter merges layers, so many outputs stand nowhere in the file. But a layer is right when its output is found, or
when that of a layer further on that depends on it is; the first layer of which neither holds is where the fault begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .measuring import distance, scale
from .precision import in_float32
from .probes import INFINITE, Arrays, Probe
from .report.verify import VerifyReport
from .signature import signature

_SAME = 1e-4


@dataclass
class _Call:
    """One call of a layer: its float outputs and the earlier calls whose results it took."""

    layer: str
    outputs: Arrays
    takes: set[int] = field(default_factory=set)


def first_divergence_inside(
    models: list[keras.Model], target: Any, path: Path, report: VerifyReport, tried: list[Probe]
) -> str | None:
    """The first layer whose output the file at `path` does not compute, or None if that cannot be told.

    `models` compute the same: a layer that was folded differently in one of them may be found by way of another.
    """
    failed = {check.case for check in report.checks if not check.ok}
    probe = next((probe for probe in tried if probe.name in failed and probe.name != INFINITE), None)
    if probe is None:
        return None
    try:
        sig = signature(models[0])
        names = [spec.name for spec in next(iter(target.runners(path).values())).inputs]
        ours = [spec.name for spec in sig.inputs]
        names = ours if set(names) == set(ours) else names
        found = target.tensors(path, dict(zip(names, probe.arrays, strict=True)))
        values = [value for _, value in found]
        layers = [_first_wrong(_record(model, probe.arrays), values) for model in models]
    except Exception:  # the artifact is broken: whatever else is wrong with it must not hide that
        return None
    order = [layer.name for layer in models[0]._flatten_layers(include_self=False)]
    known = [layer for layer in layers if layer in order]
    # Where one search goes wrong it stops too early, at a layer that was merged away.
    return max(known, key=order.index, default=None)


def _record(model: keras.Model, arrays: Arrays) -> list[_Call]:
    sig = signature(model)
    with in_float32(model), recording(model) as calls:
        sig.call(model, arrays)
    return calls


@contextmanager
def recording(model: keras.Model) -> Iterator[list[_Call]]:
    """Within the block every call of a layer below `model` is recorded, in the order in which they end."""
    calls: list[_Call] = []
    made_by: dict[int, int] = {}
    kept: list[Any] = []  # the tensors stay alive: a freed one's id would be given to another
    changed = []

    def record(layer: keras.Layer) -> Any:
        original = layer.call

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            results = original(*args, **kwargs)
            tensors = [y for y in keras.tree.flatten(results) if keras.ops.is_tensor(y)]
            takes = {made_by[id(x)] for x in keras.tree.flatten((args, kwargs)) if id(x) in made_by}
            for y in tensors:
                made_by[id(y)] = len(calls)
            kept.extend(tensors)
            arrays = [keras.ops.convert_to_numpy(y) for y in tensors]
            calls.append(_Call(layer.name, [y for y in arrays if y.dtype.kind == "f" and y.size > 1], takes))
            return results

        return call

    try:
        for layer in model._flatten_layers(include_self=False):
            object.__setattr__(layer, "call", record(layer))  # past Keras' attribute tracking: no state of the layer
            changed.append(layer)
        yield calls
    finally:
        for layer in changed:
            del layer.__dict__["call"]


def _first_wrong(calls: list[_Call], values: Arrays) -> str | None:
    """The first call that is neither found among `values` nor taken by one that is right."""
    by_size: dict[int, list[np.ndarray]] = {}
    for value in values:
        by_size.setdefault(value.size, []).append(value.ravel())
    right: set[int] = set()
    for i in reversed(range(len(calls))):
        call = calls[i]
        if i in right or (call.outputs and all(_is_among(y, by_size.get(y.size, [])) for y in call.outputs)):
            right |= {i, *call.takes}
    wrong = [call for i, call in enumerate(calls) if i not in right and call.outputs]
    if wrong:
        return wrong[0].layer
    # Each layer's output is computed, and then something else is handed out.
    return calls[-1].layer if calls else None


def _is_among(y: np.ndarray, values: Arrays) -> bool:
    if not scale(y):  # zeros look like any other zeros
        return True
    layouts = [y.ravel()]
    if y.ndim > 2:
        layouts.append(np.moveaxis(y, -1, 1).ravel())
        layouts.append(np.moveaxis(y, 1, -1).ravel())
    return any(distance(layout, value, 0.0)[1] <= _SAME for layout in layouts for value in values)
