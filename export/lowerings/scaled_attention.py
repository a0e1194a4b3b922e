"""Attention whose scores are scaled by the weights of the query's projection.

    scores = s (x W + b) k^T = (x (s W) + s b) k^T                 s = 1 / sqrt(size of a head)

Keras multiplies every score, or every projected query, where the products with weights are constants of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from ..model.keras_graph import scale_of_scores, scores_scaled_by
from ..model.patching import patched_calls
from ..model.projections import projections_of


def lower(layer: Any, _channels_first: bool = False) -> Callable[..., Any] | None:
    scale, query = scale_of_scores(layer), projections_of(layer).get("query")
    if scale is None or query is None or query.quantization_mode is not None or query.lora_enabled:
        return None
    original = layer.call

    def scaled(x: Any, training: bool | None = None) -> Any:
        y = ops.einsum(query.equation, x, query.kernel * scale)
        return y if query.bias is None else y + query.bias * scale

    def call(*args: Any, **kwargs: Any) -> Any:
        with patched_calls([query], lambda _query: scaled), scores_scaled_by(layer, 1.0):
            return original(*args, **kwargs)

    return call
