"""Custom node data for Model Explorer: a value for each tensor of a file, and the colour of its node.

Model Explorer finds the node of a value by the name of an output tensor or by the node's own id: of a TFLite file the
first, of an ONNX file the second, which is the name of the operation. Data without the name of a graph belong to the
graph that is open when the file is dropped there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layer_trace import LayerError

MOST_DB = 200.0  # stands for an exact result, for which JSON has no number
# The upper end of each range of decibels, and its colours.
_RANGES = (
    (10.0, "#b2182b", "#ffffff"),
    (20.0, "#ef8a62", "#000000"),
    (30.0, "#fddbc7", "#000000"),
    (60.0, "#d1e5f0", "#000000"),
    (MOST_DB, "#67a9cf", "#000000"),
)


def node_data(file: str, layers: Iterable[LayerError]) -> dict[str, Any]:
    """The data as Model Explorer reads them; of a tensor that stands for several layers, the lowest ratio."""
    values: dict[str, float] = {}
    for layer in layers:
        if layer.sqnr_db is not None:
            for key in (*layer.tensors, *layer.operations):
                values[key] = min(values.get(key, MOST_DB), round(layer.sqnr_db, 2))
    return {
        "name": f"{file}, SQNR dB",
        "results": {key: {"value": value} for key, value in values.items()},
        "thresholds": [{"value": end, "bgColor": fill, "textColor": ink} for end, fill, ink in _RANGES],
    }
