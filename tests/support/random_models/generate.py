"""From a seed to a random model, the same each time."""

from __future__ import annotations

import random
from dataclasses import replace
from math import prod
from typing import Any

import keras
import numpy as np

from .draw import Draw
from .inputs import Arrays, ordinary_inputs
from .recipe import Entry, Recipe, Step, namespace
from .steps import KINDS

MOST_NUMBERS, MOST_WEIGHTS = 3_000, 8_000
IF_FREE = 8


def random_recipe(seed: int, length: int | None = None) -> Recipe:
    """The recipe of a model that runs in Keras, with finite outputs that depend on its inputs."""
    for attempt in range(100):
        recipe = _drawn(random.Random(f"{seed} {attempt}"), seed, length)
        if recipe is not None and _runs(recipe):
            return recipe
    raise AssertionError(f"no model came of seed {seed}")


def random_model(seed: int, length: int | None = None) -> keras.Model:
    """The model of `random_recipe`."""
    return random_recipe(seed, length).build()


def _drawn(rng: random.Random, seed: int, length: int | None) -> Recipe | None:
    draw, scope = Draw(rng), namespace()
    batch = rng.choice([None, None, None, None, 1, 2])
    inputs = [_entry(rng, i, batch) for i in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    for entry in inputs:
        exec(entry.line(), scope)
        _note(draw, entry.name, scope[entry.name])
    steps = []
    wanted = rng.randint(2, 12) if length is None else length
    for _ in range(4 * wanted):
        kind = rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        step = KINDS[kind][1](draw)
        if step is not None and _made(step, scope, draw):
            steps.append(step)
        if len(steps) == wanted:
            break
    used = {source for step in steps for source in step.sources}
    leaves = [step.name for step in steps if step.name not in used]
    if not leaves:
        return None
    outputs = [leaves[-1], *rng.sample(leaves[:-1], min(len(leaves) - 1, rng.choice([0, 1, 1, 2])))]
    inner = [step.name for step in steps if step.name in used and step.name not in outputs]
    if inner and rng.random() < 0.15:
        outputs.append(rng.choice(inner))
    size = rng.choice([None, None, None, 1, 2]) if batch is None else None
    recipe = Recipe(seed, tuple(inputs), tuple(steps), tuple(outputs), batch_size=size)
    return replace(recipe, nested=rng.random() < 0.1, named=rng.random() < 0.2).pruned()


def _entry(rng: random.Random, i: int, batch: int | None) -> Entry:
    rank = rng.choice([0, 1, 1, 2, 2, 2, 3, "ids"])
    if rank == "ids":
        return Entry(f"in{i}", (rng.randint(4, 9),), "int32", batch)
    size = {0: 0, 1: rng.randint(5, 16), 2: rng.randint(5, 12), 3: rng.randint(4, 7)}[rank]
    space: list[int | None] = [max(4, size - rng.choice([0, 0, 1, 2])) for _ in range(rank)]
    if rank in (1, 2) and rng.random() < 0.1:
        space = [None] * rank
    return Entry(f"in{i}", (*space, rng.choice([1, 2, 3, 3, 4, 6, 8])), None, batch)


def _made(step: Step, scope: dict[str, Any], draw: Draw) -> bool:
    """Make the step; False where Keras does not take it, or where it grows too large."""
    made = dict(scope)
    try:
        for line in step.lines():
            exec(line, made)
        y = made[step.name]
        if not isinstance(y, keras.KerasTensor) or not 2 <= len(y.shape) <= 5:
            return False
        numbers = prod(IF_FREE if n is None else n for n in y.shape[1:])
        layer = made.get(f"layer_of_{step.name}")
        if not 0 < numbers <= MOST_NUMBERS or (layer is not None and layer.count_params() > MOST_WEIGHTS):
            return False
    except Exception:  # whatever Keras raises for a step that suits no tensor
        return False
    scope.update(made)
    _note(draw, step.name, y)
    if step.is_layer and len(step.sources) == 1:
        draw.layers[step.name] = (step, draw.shapes[step.sources[0]])
    return True


def _note(draw: Draw, name: str, y: keras.KerasTensor) -> None:
    draw.shapes[name] = tuple(y.shape[1:])
    if not str(y.dtype).startswith("float"):
        draw.integers.add(name)


def outputs_of(model: keras.Model, arrays: Arrays) -> Arrays:
    """The outputs in Keras' order."""
    said = model(list(arrays), training=False)
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(said)]


def _runs(recipe: Recipe) -> bool:
    """Whether the model runs, and its outputs are finite, moderate, and not the same for every input.

    An output of millionths is what rounding left of a difference of equals.
    """
    try:
        model = recipe.build()
        said = [outputs_of(model, arrays) for arrays in ordinary_inputs(recipe)[:2]]
    except Exception:  # layers that take shapes which no kernel of TensorFlow takes
        return False
    numbers = [[y.astype(np.float64) for y in outputs] for outputs in said]
    every = [y for outputs in numbers for y in outputs]
    sound = all(y.size and np.isfinite(y).all() and 1e-4 < np.abs(y).max() < 1e6 for y in every)
    return sound and all(
        a.shape != b.shape or np.abs(a - b).max() > 1e-6 * max(np.abs(a).max(), 1e-30)
        for a, b in zip(*numbers, strict=True)
    )
