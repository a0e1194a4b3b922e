"""What `inspect` tells about a model, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold_plan
from keras_norms.export.loading.load_model import load_model
from keras_norms.export.model.keras_graph import children
from keras_norms.export.model.signature import signature

_PER_INPUT = "takes its statistics from each input"


def facts(path: Path) -> dict[str, Any]:
    """The model's interface and size, and for each of its norms what `fold` would do with it; nothing is folded."""
    model = load_model(path)
    interface = signature(model)
    layers = _paths(model)
    kinds = {name: type(layer).__name__ for name, layer in layers.items()}
    plan: list[dict[str, Any]] = []
    notes: list[str] = []
    refused: str | None = None
    try:
        report = fold_plan(model)
    except FoldError as error:
        refused = str(error)
    else:
        notes = report.notes
        plan += [
            {"norm": f.norm, "kind": kinds.get(f.norm, ""), "folds": True, "into": list(f.into), "rule": f.rule}
            for f in report.folded
        ]
        plan += [
            {"norm": k.norm, "kind": kinds.get(k.norm, ""), "folds": False, "reason": k.reason} for k in report.kept
        ]
        tails = {
            tail.norm: f"{_PER_INPUT}; only gamma and beta fold, into {', '.join(tail.into)}" for tail in report.tails
        }
        told = {norm["norm"] for norm in plan}
        plan += [
            {"norm": name, "kind": kind, "folds": False, "reason": tails.get(name, _PER_INPUT)}
            for name, kind in kinds.items()
            if _is_norm(kind) and name not in told
        ]
    return {
        "path": str(path),
        "name": model.name,
        "kind": type(model).__name__,
        "inputs": [{"name": i.name, "shape": list(i.shape), "dtype": i.dtype} for i in interface.inputs],
        "outputs": list(interface.outputs),
        "layers": sum(not isinstance(layer, keras.Model) for layer in layers.values()),
        "parameters": model.count_params(),
        "norms": plan,
        "notes": notes,
        "refused": refused,
    }


def _is_norm(kind: str) -> bool:
    """By name, so that a user's own norms are told of too; the two others in Keras of that name are none."""
    return kind.endswith("Normalization") and kind not in ("Normalization", "SpectralNormalization")


def _paths(part: keras.Layer, prefix: str = "") -> dict[str, keras.layers.Layer]:
    """Every layer by the path that a fold report calls it, the insides of nested models and custom layers too."""
    found = {}
    for layer in part.layers if isinstance(part, keras.Model) else children(part):
        found[f"{prefix}{layer.name}"] = layer
        if not type(layer).__module__.startswith("keras.src.layers."):
            found.update(_paths(layer, f"{prefix}{layer.name}/"))
    return found
