"""What the entries of metadata are called. This module imports no Keras: the process that runs a file does without."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

NAME, LABELS, FOLDED, KEPT, MODEL, VERSIONS, TARGET, QUANTIZED = (
    "name",
    "labels",
    "keras_norms.norms_folded",
    "keras_norms.norms_kept",
    "keras_norms.model_sha256",
    "keras_norms.versions",
    "keras_norms.target",
    "keras_norms.quantized",
)


def labels_of(found: Mapping[str, str], outputs: Sequence[str]) -> dict[str, list[str]]:
    """Labels by output, from the entries of an artifact."""
    labels = json.loads(found.get(LABELS, "{}"))
    return labels if isinstance(labels, dict) else {outputs[0]: labels}
