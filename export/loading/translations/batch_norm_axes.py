"""A batch norm over several axes, which Keras 3's takes one of.

The axes are moved to the end and made one: Permute, Reshape, BatchNormalization, Reshape, Permute, in a Sequential of
the layer's name. gamma, beta and the statistics are the same numbers in the same order. It needs the sizes of these
axes, which stand in the shapes of the weights.
"""

from __future__ import annotations

import math
from typing import Any

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer

ONE_AXIS = "_one_axis"  # ends the name of the norm within
SHAPE = "weight_shape"  # in an entry: the shape of its first weight in the file


def needs_shape(entry: Entry) -> bool:
    """Whether an entry is a batch norm over several axes."""
    config = entry["config"]
    axes = config.get("axis") if isinstance(config, dict) else None
    return "BatchNorm" in entry["class_name"] and isinstance(axes, list) and len(axes) > 1


def apply(entry: Entry, writer: Writer) -> bool:
    """Put such a norm between shapes in which its axes are one."""
    if not needs_shape(entry):
        return False
    config = entry["config"]
    axes = config["axis"]
    shape = entry.get(SHAPE)
    if not shape or config.get("renorm"):
        raise ExportError(f"layer '{name_of(entry)}' normalizes over axis={axes}, and Keras 3 takes one axis")
    axes = sorted(axis % len(shape) for axis in axes)
    others = [axis for axis in range(1, len(shape)) if axis not in axes]
    sizes = [shape[axis] for axis in axes]
    if len(others) > 1:
        raise ExportError(
            f"layer '{name_of(entry)}' normalizes over axis={axes} of {len(shape)}, and Keras 3 takes one axis. "
            "All but one of the axes beside the batch would have to be among them"
        )
    name = config["name"]
    order = [*others, *axes]
    back = [order.index(axis) + 1 for axis in range(1, len(shape))]
    free = [-1] if others else []
    norm: Entry = {"class_name": "BatchNormalization", "config": {**config, "axis": -1, "name": name + ONE_AXIS}}
    layers = [
        _layer("Permute", f"{name}_axes_last", dims=order),
        _layer("Reshape", f"{name}_axes_joined", target_shape=[*free, math.prod(sizes)]),
        norm,
        _layer("Reshape", f"{name}_axes_apart", target_shape=[*free, *sizes]),
        _layer("Permute", f"{name}_axes_back", dims=back),
    ]
    entry.update(class_name="Sequential", config={"name": name, "layers": layers}, stands_for=norm["config"]["name"])
    return True


def _layer(kind: str, name: str, **config: Any) -> Entry:
    return {"class_name": kind, "config": {"name": name, **config}}
