"""What an artifact says about itself: the model's name and hash, versions, what was folded, labels.

Everything is a string under a string, as ONNX's `metadata_props` has it; TFLite files carry the same entries as JSON in
a metadata buffer called `keras_norms`, and in the form that Android reads (`formats/tflite/metadata.py`). Nothing in it
depends on when or where the file was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from ..errors import ExportError
from ..model.signature import Signature
from ..report.fold_report import FoldReport
from .hashes import model_sha256, versions
from .metadata_keys import FOLDED, KEPT, LABELS, NAME, TARGET, VERSIONS
from .metadata_keys import MODEL as MODEL

Labels = Sequence[str] | Mapping[str, Sequence[str]]


def entries(
    model: keras.Model,
    sig: Signature,
    fold: FoldReport | None,
    labels: dict[str, list[str]] | None,
    chip: str | None = None,
) -> dict[str, str]:
    """The entries for an artifact of `model`, for a chip if it is for one; `labels` as `check_labels` returns them."""
    found = {
        NAME: model.name,
        FOLDED: str(len(fold.folded) if fold else 0),
        KEPT: str(len(fold.kept) if fold else 0),
        MODEL: model_sha256(model),
        VERSIONS: json.dumps(versions(), sort_keys=True),
    }
    if chip is not None:
        found[TARGET] = chip
    if labels:
        # Of the only output as a plain list, which is what readers of other tools look for.
        found[LABELS] = json.dumps(labels if len(sig.outputs) > 1 else labels[sig.outputs[0]], ensure_ascii=False)
    return found


def check_labels(labels: Labels | None, sig: Signature, sizes: Mapping[str, int | None]) -> dict[str, list[str]] | None:
    """Labels by output name; a plain list is for the only output. `sizes` has each output's last dimension.

    Raises:
        ExportError: If a label is no string, an output is not the model's, or there are not as many labels as classes.
    """
    if labels is None:
        return None
    if isinstance(labels, str) or not isinstance(labels, (Sequence, Mapping)):
        raise ExportError(f"labels must be a list of strings, or a dict of them by output; got {labels!r}.")
    if not isinstance(labels, Mapping):
        if len(sig.outputs) != 1:
            raise ExportError(
                f"labels must say which output they are for: the model has {list(sig.outputs)}. Pass a dict by output."
            )
        labels = {sig.outputs[0]: labels}
    for output, names in labels.items():
        if output not in sig.outputs:
            raise ExportError(f"labels must be for the model's outputs {list(sig.outputs)}; got '{output}'.")
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ExportError(f"labels for '{output}' must be strings; got {names!r}.")
        if broken := [name for name in names if "\n" in name or "\r" in name]:
            raise ExportError(f"labels for '{output}' must be a line each, as files of labels are; got {broken[0]!r}.")
        if sizes[output] is not None and len(names) != sizes[output]:
            raise ExportError(
                f"labels for '{output}' must be as many as its last dimension, {sizes[output]}; got {len(names)}."
            )
    return {output: list(names) for output, names in labels.items()}


def last_sizes(model: keras.Model, sig: Signature) -> dict[str, int | None]:
    """The last dimension of each output, None where it is free."""
    symbols = [keras.KerasTensor(spec.shape, spec.dtype) for spec in sig.inputs]
    outputs = model.compute_output_spec(keras.tree.pack_sequence_as(sig.structure, symbols))
    shapes = [y.shape for y in keras.tree.flatten(outputs)]
    return {name: shape[-1] if shape else None for name, shape in zip(sig.outputs, shapes, strict=True)}


def read_metadata(target: Any, path: Path) -> dict[str, str]:
    """The entries of an artifact; empty for another tool's file."""
    return dict(sorted(target.read_metadata(path).items()))
