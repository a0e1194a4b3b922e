"""Steps of one tensor that keep where its numbers stand: dense layers, norms, activations, embeddings."""

from __future__ import annotations

from typing import Any

from .draw import ACTIVATIONS, Draw, activation
from .recipe import Code, Step


def dense(draw: Draw) -> Step | None:
    x = draw.pick()
    if x is None:
        return None
    units = draw.one(2, 3, 4, 6, 8)
    if draw.chance(0.12) and len(draw.shapes[x]) == 2:
        equation, shape = draw.one(("abc,cd->abd", (None, units)), ("abc,cde->abde", (None, 2, units)))
        return draw.step("layers.EinsumDense", x, ("equation", equation), ("output_shape", shape), ("bias_axes", "d"))
    made = ("units", units), *draw.options(use_bias=(True, True, False)), *activation(draw)
    return draw.step("layers.Dense", x, *made)


def norm(draw: Draw) -> Step | None:
    x = draw.pick()
    if x is None:
        return None
    shape = draw.shapes[x]
    axis = draw.options(axis=(-1, -1, -1, 1)) if len(shape) > 1 else ()
    channels = shape[0 if axis else -1] or 0
    groups = ("groups", draw.rng.choice([g for g in (1, 2, 3, 4, -1) if g == -1 or channels % g == 0]))
    parts = draw.options(center=(True, True, False), scale=(True, True, False))
    batch, of_layer = (*axis, *parts), (*draw.options(axis=(-1, -1, 1, (-2, -1))),) if len(shape) > 1 else ()
    rows: list[tuple[str, tuple[tuple[str, Any], ...]]] = [
        ("layers.BatchNormalization", batch),
        ("keras_norms.BatchNormalization", batch),
        ("keras_norms.BatchRenormalization", batch),
        ("layers.GroupNormalization", (groups, *batch)),
        ("keras_norms.GroupNormalization", (groups, *batch)),
        ("keras_norms.InstanceNormalization", batch),
        ("layers.LayerNormalization", (*of_layer, *parts)),
        ("keras_norms.LayerNormalization", (*of_layer, *parts)),
        ("layers.RMSNormalization", of_layer),
        ("layers.UnitNormalization", of_layer),
        ("layers.Normalization", (("mean", 0.2), ("variance", 1.5))),
    ]
    if len(shape) == 1 and draw.chance(0.7):  # one position: a group of one channel has no variance
        rows = [row for row in rows if "Instance" not in row[0] and "Group" not in row[0]]
    made, given = draw.rng.choice(rows)
    return draw.step(made, x, *given)


def spectral(draw: Draw) -> Step | None:
    x = draw.pick(1, 3)
    if x is None:
        return None
    inner = "layers.Dense(4)" if len(draw.shapes[x]) == 1 else "layers.Conv2D(4, 3)"
    return draw.step("layers.SpectralNormalization", x, ("layer", Code(inner)))


def activate(draw: Draw) -> Step | None:
    x = draw.pick()
    if x is None:
        return None
    rank = len(draw.shapes[x]) - 1
    if draw.chance(0.6):
        return draw.step("layers.Activation", x, ("activation", draw.one(*ACTIVATIONS)))
    shared = tuple(range(1, rank + 1))
    rows: list[tuple[str, tuple[tuple[str, Any], ...]]] = [
        ("layers.ReLU", draw.options(max_value=(None, 2.0), negative_slope=(0.0, 0.1), threshold=(0.0, 0.3))),
        ("layers.LeakyReLU", draw.options(negative_slope=(0.3, 0.1))),
        ("layers.ELU", draw.options(alpha=(1.0, 0.5))),
        ("layers.PReLU", (("shared_axes", shared),) if rank and draw.chance(0.6) else ()),
        ("layers.Softmax", draw.options(axis=(-1, -1, 1)) if rank else ()),
        ("ops.threshold", (("threshold", 0.2), ("default_value", 0.1))),
        ("layers.Dropout", (("rate", 0.3),)),
        ("layers.GaussianNoise", (("stddev", 0.3),)),
        ("layers.Rescaling", (("scale", 0.5), ("offset", 0.1))),
        ("layers.ActivityRegularization", (("l2", 0.1),)),
    ]
    made, given = draw.rng.choice(rows)
    return draw.step(made, x, *given)


def embed(draw: Draw) -> Step | None:
    fitting = [name for name in draw.integers if len(draw.shapes[name]) in (1, 2)]
    if not fitting:
        return None
    x = draw.rng.choice(sorted(fitting))
    if draw.chance(0.15):
        return draw.step("ops.one_hot", x, ("num_classes", draw.one(4, 6)))
    given = ("input_dim", 6), ("output_dim", draw.one(2, 3, 4, 6)), *draw.options(mask_zero=(False, False, False, True))
    return draw.step("layers.Embedding", x, *given)


def masking(draw: Draw) -> Step | None:
    x = draw.pick(2)
    return None if x is None else draw.step("layers.Masking", x, ("mask_value", 0.0))
