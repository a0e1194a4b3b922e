"""The layer of a trace that loses most."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.layer_trace import LayerError

_EXACT = 100.0  # dB: more is nothing but the rounding of float32
_PLENTY = 20.0  # dB above the lowest ratio of the trace: what is lost beyond that is not what made it so low


def worst_drop(layers: Sequence[LayerError]) -> int | None:
    """The position of the layer with the largest drop from what it takes to what it gives; None if nothing is lost."""
    found = [(i, layer.sqnr_db) for i, layer in enumerate(layers) if layer.sqnr_db is not None]
    lowest = min((ratio for _, ratio in found), default=_EXACT)
    if lowest >= _EXACT:
        return None
    highest = lowest + _PLENTY

    def drop(i: int, ratio: float) -> float:
        before = layers[i].before_db
        return min(highest if before is None else before, highest) - min(ratio, highest)

    drops = {i: drop(i, ratio) for i, ratio in found}
    worst = max(drops, key=lambda i: drops[i])
    return worst if drops[worst] > 0 else None
