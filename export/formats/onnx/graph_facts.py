"""What the converting process is told of a model and of the installed runtime."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphFacts:
    """What the converting process is told beside the options, since finding it out takes the model or the runtime."""

    newest_opset: int
    layer_norm_is_exact: bool
    channels_first_model: bool
    data_above: int  # bytes of weights from which they lie in a file of their own
