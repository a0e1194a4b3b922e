"""Functions of tensors, steps that join several tensors, and a layer that is called once more."""

from __future__ import annotations

from typing import Any

from .draw import Draw
from .recipe import Step


def merge(draw: Draw) -> Step | None:
    x = draw.pick()
    if x is None:
        return None
    shape = draw.shapes[x]
    floats = {name: of for name, of in draw.shapes.items() if name not in draw.integers and name != x}
    alike = [name for name, of in floats.items() if of == shape]
    beside = [name for name, of in floats.items() if len(of) == len(shape) and of[:-1] == shape[:-1]]
    thin = [
        name
        for name, of in floats.items()
        if len(of) == len(shape) and all(n in (1, m) for n, m in zip(of, shape, strict=True))
    ]
    kind = draw.one(
        "Add", "Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Concatenate", "Concatenate", "Dot"
    )
    others = beside if kind == "Concatenate" else alike or thin
    if not others:
        return None
    sources = (
        x,
        *draw.rng.sample(others, min(len(others), draw.one(1, 1, 2)) if kind not in ("Subtract", "Dot") else 1),
    )
    if kind == "Dot" and len(shape) not in (1, 2):
        return None
    given: tuple[tuple[str, Any], ...] = (("axes", draw.one(1, -1)),) if kind == "Dot" else ()
    if kind == "Dot":
        given += draw.options(normalize=(False, False, True))
    return Step(draw.name(), f"layers.{kind}", given, sources, listed=True)


def again(draw: Draw) -> Step | None:
    """A layer called once more, on a tensor of the shape that it was made for."""
    if not draw.layers:
        return None
    first, shape = draw.layers[draw.rng.choice(sorted(draw.layers))]
    fitting = [name for name, of in draw.shapes.items() if of == shape and name not in draw.integers]
    return Step(draw.name(), "again", (), (first.name, draw.rng.choice(fitting)), call=first.call) if fitting else None


def operation(draw: Draw) -> Step | None:
    x = draw.pick()
    if x is None:
        return None
    rank = len(draw.shapes[x])
    axis, keep = ("axis", draw.rng.randint(1, rank)), ("keepdims", draw.chance(0.6))
    plain = ("abs", "square", "sin", "cos", "tanh", "sign", "floor", "round", "exp", "erf", "negative", "log_sigmoid")
    reduced = ("mean", "sum", "max", "min", "var", "std", "logsumexp", "prod", "amax")
    rows: list[tuple[str, tuple[tuple[str, Any], ...]]] = [
        (f"ops.{draw.one(*plain)}", ()),
        (f"ops.{draw.one(*plain)}", ()),
        (f"ops.{draw.one(*reduced)}", (axis, keep)),
        (f"ops.{draw.one(*reduced)}", (axis, keep)),
        ("ops.clip", (("x_min", -0.7), ("x_max", 1.1))),
        ("ops.cumsum", (axis,)),
        ("ops.flip", (axis,)),
        ("ops.roll", (("shift", 1), axis)),
        ("ops.repeat", (("repeats", 2), axis)),
        ("ops.expand_dims", (axis,)),
        ("ops.normalize", (axis,)),
        ("ops.softmax", (axis,)),
        ("ops.sort", (("axis", -1),)),
        ("ops.argmax", (axis,)),
        (
            "ops.pad",
            (("pad_width", [[0, 0], *[[1, 1]] * rank]), ("mode", draw.one("constant", "reflect", "symmetric"))),
        ),
        ("ops.tile", (("repeats", [1] * rank + [2]),)),
        ("[..., ::2]", ()),
        ("[:, 1:]", ()),
        ("[:, -1]", ()),
        ("[..., None]", ()),
        ("[:, ::-1]", ()),
    ]
    made, given = draw.rng.choice(rows)
    return draw.step(made, x, *given)


def pair(draw: Draw) -> Step | None:
    """A function of two tensors, which may broadcast."""
    x, y = draw.pick(), draw.pick()
    if x is None or y is None:
        return None
    made = draw.one("add", "multiply", "subtract", "maximum", "minimum", "matmul", "squared_difference", "logaddexp")
    return None if made == "squared_difference" else Step(draw.name(), f"ops.{made}", (), (x, y))
