"""The shapes that a subclassed model was built with: all that Keras records of what such a model takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras


def recorded_shapes(model: keras.Model) -> Any:
    """The shapes of the first call, in the structure in which `model.call` takes its tensors; None if none are known.

    Keras records what the model's `build` was given: one shape or structure of them, or one for each argument of `call`
    by the name "<argument>_shape". Where a single argument is named so, its shapes alone are the answer.
    """
    config = model.get_build_config() or {}
    shapes = config.get("input_shape")
    if not shapes:
        shapes = config.get("shapes_dict") or {}
        return next(iter(shapes.values())) if len(shapes) == 1 else shapes or None
    if isinstance(shapes, Mapping) and len(shapes) == 1:
        ((name, shape),) = shapes.items()
        # A `build(self, **shapes)` was given the names; a model that takes a dict has other keys.
        return (
            shape if name in {f"{argument}_shape" for argument in inspect.signature(model.call).parameters} else shapes
        )
    return shapes


def is_shape(node: Any) -> bool:
    """Whether a part of recorded shapes is one shape, not a dict or list of them."""
    return not isinstance(node, Mapping) and all(size is None or isinstance(size, int) for size in node)
