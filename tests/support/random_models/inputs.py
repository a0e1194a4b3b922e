"""Ordinary inputs of a random model: what its users might feed, none of it made to break norms."""

from __future__ import annotations

import numpy as np

from .recipe import Entry, Recipe

Arrays = list[np.ndarray]

# (numbers, batch where it is free, size where it is free). Two of one size come first.
_CASES = (("normal", 2, 11), ("image", 2, 11), ("normal", 1, 16), ("wide", 3, 13))


def ordinary_inputs(recipe: Recipe) -> list[Arrays]:
    """Four sets of inputs, of several batches and sizes where these are free."""
    rng = np.random.default_rng(recipe.seed)
    return [[_draw(rng, entry, kind, recipe, batch, size) for entry in recipe.inputs] for kind, batch, size in _CASES]


def _draw(rng: np.random.Generator, entry: Entry, kind: str, recipe: Recipe, batch: int, size: int) -> np.ndarray:
    fixed = entry.batch or recipe.batch_size
    shape = (fixed or batch, *(size if n is None else n for n in entry.shape))
    if entry.dtype == "int32":
        return rng.integers(0, recipe.ids, shape).astype(np.int32)
    values = {"normal": rng.normal(size=shape), "image": rng.random(shape), "wide": 3.0 * rng.normal(size=shape) + 1.0}
    return values[kind].astype(np.float32)
