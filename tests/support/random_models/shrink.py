"""A failing recipe made smaller while it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .recipe import Entry, Recipe, Step

SIMPLER = ("layers.Activation", (("activation", "linear"),))


def shrink(recipe: Recipe, fails: Callable[[Recipe], bool], most: int = 150) -> Recipe:
    """The smallest recipe found of which `fails` is true, which it is of `recipe`, in at most that many tries."""
    smaller = True
    while smaller:
        smaller = False
        for other in candidates(recipe):
            if most == 0:
                return recipe
            if not _builds(other):
                continue
            most -= 1
            if fails(other):
                recipe, smaller = other, True
                break
    return recipe


def candidates(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes that are simpler by one thing, those that leave out most first."""
    yield from _one_output(recipe)
    yield from _cut(recipe)
    for step in reversed(recipe.steps):
        for source in step.sources if step.made != "again" else step.sources[1:]:
            yield _without(recipe, step, source)
    yield from _plain(recipe)
    for i, step in enumerate(recipe.steps):
        for given, field in ((step.arguments, "arguments"), (step.call, "call")):
            for k in range(len(given)):
                changed = replace(step, **{field: (*given[:k], *given[k + 1 :])})
                yield replace(recipe, steps=(*recipe.steps[:i], changed, *recipe.steps[i + 1 :]))


def _one_output(recipe: Recipe) -> Iterator[Recipe]:
    if len(recipe.outputs) > 1:
        for name in recipe.outputs:
            yield replace(recipe, outputs=(name,)).pruned()
        for name in recipe.outputs:
            yield replace(recipe, outputs=tuple(other for other in recipe.outputs if other != name)).pruned()
    for step in recipe.steps:  # what comes before an output, in its place
        if step.name in recipe.outputs:
            kept = tuple(name for name in recipe.outputs if name != step.name)
            made = {other.name for other in recipe.steps} - set(kept)
            for source in step.sources:
                if source in made:
                    yield replace(recipe, outputs=(*kept, source)).pruned()


def _cut(recipe: Recipe) -> Iterator[Recipe]:
    """An input in the place of a step, of its shape, so that what is before it falls away."""
    shapes = _shapes(recipe)
    for i in reversed(range(len(recipe.steps))):
        step = recipe.steps[i]
        if step.name in shapes and step.name not in recipe.outputs:
            shape, dtype, batch = shapes[step.name]
            entry = Entry(step.name, shape, dtype, batch)
            steps = (*recipe.steps[:i], *recipe.steps[i + 1 :])
            smaller = replace(recipe, inputs=(*recipe.inputs, entry), steps=steps).pruned()
            if len(smaller.steps) < len(recipe.steps):
                yield smaller


def _shapes(recipe: Recipe) -> dict[str, tuple[tuple[int | None, ...], str | None, int | None]]:
    """Shape, dtype and batch of what each step makes."""
    whole = replace(recipe, outputs=tuple(step.name for step in recipe.steps), named=False, nested=False)
    found = {}
    for name, y in zip(whole.outputs, whole.build().outputs, strict=True):
        dtype = None if str(y.dtype).startswith("float") else str(y.dtype)
        if dtype in (None, "int32"):
            found[name] = (tuple(y.shape[1:]), dtype, y.shape[0])
    return found


def _without(recipe: Recipe, step: Step, source: str) -> Recipe:
    """Whatever took the result of the step takes this source of it."""
    others = tuple(other for other in recipe.steps if other is not step)
    turned = tuple(
        replace(other, sources=tuple(source if name == step.name else name for name in other.sources))
        for other in others
    )
    outputs = tuple(dict.fromkeys(source if name == step.name else name for name in recipe.outputs))
    return replace(recipe, steps=turned, outputs=outputs).pruned()


def _plain(recipe: Recipe) -> Iterator[Recipe]:
    for changed in ({"nested": False}, {"named": False}, {"batch_size": None}):
        if any(getattr(recipe, name) != value for name, value in changed.items()):
            yield replace(recipe, **changed)  # type: ignore[arg-type]
    if any(entry.batch for entry in recipe.inputs):
        yield replace(recipe, inputs=tuple(replace(entry, batch=None) for entry in recipe.inputs))


def _builds(recipe: Recipe) -> bool:
    made = {step.name for step in recipe.steps}
    if not recipe.outputs or not recipe.inputs or not set(recipe.outputs) & made:
        return False
    try:
        recipe.build()
    except Exception:  # whatever Keras raises for what does not fit
        return False
    return True
