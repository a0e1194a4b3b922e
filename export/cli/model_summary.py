"""What `keras-norms inspect` reports about a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold_plan
from keras_norms.export.model.keras_graph import children
from keras_norms.export.model.signature import Spec, signature
from keras_norms.export.report.fold_report import FoldReport

from .model_file import ModelFile

_PER_INPUT = "takes its statistics from each input"


@dataclass(frozen=True)
class NormFacts:
    """A norm and what `fold` would do with it: `into` and `rule` if it folds, else the `reason`."""

    norm: str
    kind: str
    folds: bool
    into: tuple[str, ...] = ()
    rule: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        told = {"into": list(self.into), "rule": self.rule} if self.folds else {"reason": self.reason}
        return {"norm": self.norm, "kind": self.kind, "folds": self.folds, **told}


@dataclass(frozen=True)
class ModelSummary:
    """A model's interface and size, and each of its norms; `refused` is why none can fold, if so."""

    path: str
    name: str
    kind: str
    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    layers: int
    parameters: int
    norms: tuple[NormFacts, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "inputs": [{"name": i.name, "shape": list(i.shape), "dtype": i.dtype} for i in self.inputs],
            "outputs": list(self.outputs),
            "norms": [norm.to_dict() for norm in self.norms],
            "notes": list(self.notes),
        }


def summarize(file: ModelFile) -> ModelSummary:
    """Read a model file and plan the folding of its norms; nothing is folded."""
    model = file.load()
    interface = signature(model)
    layers = _paths(model)
    found = ModelSummary(
        path=str(file.path),
        name=model.name,
        kind=type(model).__name__,
        inputs=tuple(interface.inputs),
        outputs=tuple(interface.outputs),
        layers=sum(not isinstance(layer, keras.Model) for layer in layers.values()),
        parameters=model.count_params(),
    )
    try:
        report = fold_plan(model)
    except FoldError as error:
        return replace(found, refused=str(error))
    kinds = {name: type(layer).__name__ for name, layer in layers.items()}
    return replace(found, norms=tuple(_norms(report, kinds)), notes=tuple(report.notes))


def _norms(report: FoldReport, kinds: dict[str, str]) -> Iterator[NormFacts]:
    """The norms that fold, the batch norms that stay, then all others; `kinds` has the class of every layer."""
    told = set()
    for folded in report.folded:
        told.add(folded.norm)
        yield NormFacts(folded.norm, kinds.get(folded.norm, ""), True, into=folded.into, rule=folded.rule)
    for kept in report.kept:
        told.add(kept.norm)
        yield NormFacts(kept.norm, kinds.get(kept.norm, ""), False, reason=kept.reason)
    into = {tail.norm: ", ".join(tail.into) for tail in report.tails}
    for name, kind in kinds.items():
        if _is_norm(kind) and name not in told:
            tail = f"; only gamma and beta fold, into {into[name]}" if name in into else ""
            yield NormFacts(name, kind, False, reason=_PER_INPUT + tail)


def _is_norm(kind: str) -> bool:
    """By the name of the class, so that a user's own norms count; two layers of Keras with such a name are no norms."""
    return kind.endswith("Normalization") and kind not in ("Normalization", "SpectralNormalization")


def _paths(part: keras.Layer, prefix: str = "") -> dict[str, keras.layers.Layer]:
    """Every layer by the path that a fold report calls it, the insides of nested models and custom layers too."""
    found = {}
    for layer in part.layers if isinstance(part, keras.Model) else children(part):
        found[f"{prefix}{layer.name}"] = layer
        if not type(layer).__module__.startswith("keras.src.layers."):
            found.update(_paths(layer, f"{prefix}{layer.name}/"))
    return found
