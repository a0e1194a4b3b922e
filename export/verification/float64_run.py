"""A model run in float64; a layer that has none, in float32 between layers that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

import keras

from ..model.facts import ModelFacts
from ..model.keras_graph import layers_below
from ..model.patching import patched_calls
from ..model.precision import in_float64
from ..model.user_inputs import Arrays

Run = Callable[[ModelFacts, Arrays], Arrays]


def run_in_float64(facts: ModelFacts, run: Run, arrays: Arrays) -> Arrays:
    """What the model computes in float64.

    Raises:
        Exception: If a layer, or the backend, does not compute in float64.
    """
    with in_float64(facts.model):
        return run(replace(facts, calls=None), [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays])


def run_where_in_float64(facts: ModelFacts, run: Run, arrays: Arrays) -> tuple[Arrays, set[str]]:
    """What the model computes in float64, and the names of the layers that compute in float32 all the same.

    Raises:
        Exception: If the backend does not compute in float64.
    """
    narrow: set[str] = set()

    def or_in_float32(layer: Any) -> Callable[..., Any] | None:
        original = layer.call
        if isinstance(layer, keras.layers.InputLayer) or layers_below(layer):
            return None

        @wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except Exception:  # each backend raises kinds of its own
                if layer.compute_dtype == "float32":
                    raise
            narrow.add(layer.name)
            with _float32(layer):
                args, kwargs = keras.tree.map_structure(_cast_to("float32"), (args, kwargs))
                return keras.tree.map_structure(_cast_to("float64"), layer(*args, **kwargs))

        return call

    with patched_calls(layers_below(facts.model), or_in_float32):
        return run_in_float64(facts, run, arrays), narrow


@contextmanager
def _float32(layer: Any) -> Iterator[None]:
    own = layer.dtype_policy
    layer.dtype_policy = "float32"
    try:
        yield
    finally:
        layer.dtype_policy = own


def _cast_to(dtype: str) -> Callable[[Any], Any]:
    def cast(value: Any) -> Any:
        if not keras.ops.is_tensor(value) or keras.backend.standardize_dtype(value.dtype) not in ("float32", "float64"):
            return value
        return keras.ops.cast(value, dtype)

    return cast
