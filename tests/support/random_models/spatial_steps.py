"""Steps along the axes of rows, images and volumes: convolutions, pools, sizes, shapes."""

from __future__ import annotations

from typing import Any

from .draw import Draw, activation, data_format
from .recipe import Step


def conv(draw: Draw) -> Step | None:
    x = draw.pick(2, 3, 4)
    if x is None:
        return None
    rank = len(draw.shapes[x]) - 1
    kinds = ["Conv"] * 4 + ["Depthwise", "Separable"] * (rank < 3) + ["Transposed"]
    kind, where = draw.rng.choice(kinds), data_format(draw, rank)
    channels = draw.shapes[x][0 if where else -1] or 1
    size = draw.one(1, 2, 3, 3, 3, 5) if rank < 3 else draw.one(1, 2, 3)
    strides = draw.one(1, 1, 2, 3)
    given = [("kernel_size", size), ("strides", strides), ("padding", draw.one("valid", "same", "same"))]
    if kind != "Depthwise":
        given.insert(0, ("filters", draw.one(2, 3, 4, 6, 8)))
    if strides == 1 and draw.chance(0.25):
        given.append(("dilation_rate", 2))
    if kind == "Conv":
        groups = draw.rng.choice([g for g in (2, 3, 4) if channels % g == 0] or [1])
        if groups > 1 and draw.chance(0.25):
            given[0] = ("filters", groups * draw.one(1, 2))
            given.append(("groups", groups))
        if rank == 1 and draw.chance(0.15):
            given[-1 if given[-1][0] == "padding" else 3] = ("padding", "causal")
            given = [("filters", given[0][1]), ("kernel_size", size), ("padding", "causal")]
    if kind in ("Depthwise", "Separable"):
        given += draw.options(depth_multiplier=(1, 1, 2))
    given += [*draw.options(use_bias=(True, True, False)), *activation(draw), *where]
    name = {"Conv": "Conv{}D", "Depthwise": "DepthwiseConv{}D", "Separable": "SeparableConv{}D"}.get(
        kind, "Conv{}DTranspose"
    )
    return draw.step("layers." + name.format(rank), x, *given)


def pool(draw: Draw) -> Step | None:
    x = draw.pick(2, 3, 4)
    if x is None:
        return None
    rank = len(draw.shapes[x]) - 1
    kind, where = draw.one("Max", "Average"), data_format(draw, rank)
    if draw.chance(0.3):
        return draw.step(f"layers.Global{kind}Pooling{rank}D", x, *draw.options(keepdims=(False, False, True)), *where)
    if draw.chance(0.08) and None not in draw.shapes[x]:  # TensorFlow dies of it where a size is free
        # To a size of 1 Keras makes it eagerly alone, and to more than there is TensorFlow dies of it too.
        sizes, wanted = draw.shapes[x][1:] if where else draw.shapes[x][:-1], draw.one(2, 3)
        if min(sizes) < wanted:
            return None
        return draw.step(f"layers.Adaptive{kind}Pooling{rank}D", x, ("output_size", wanted), *where)
    given = ("pool_size", draw.one(2, 2, 3)), *draw.options(strides=(None, None, 1, 2), padding=("valid", "same"))
    return draw.step(f"layers.{kind}Pooling{rank}D", x, *given, *where)


def space(draw: Draw) -> Step | None:
    """Padding, cropping, upsampling, resizing."""
    x = draw.pick(2, 3, 4)
    if x is None:
        return None
    rank = len(draw.shapes[x]) - 1
    where = data_format(draw, rank) if rank > 1 else ()
    amount: Any = draw.one(1, 2) if rank == 1 else draw.one(1, ((1, 0),) * (rank - 1) + ((0, 2),))
    kind = draw.one("pad", "crop", "up", "up", "resize", "center")
    if kind == "pad":
        return draw.step(f"layers.ZeroPadding{rank}D", x, ("padding", amount), *where)
    if kind == "crop":
        return draw.step(f"layers.Cropping{rank}D", x, ("cropping", amount), *where)
    if kind == "up":
        fits = rank == 2 and None not in draw.shapes[x]  # Keras traces no other kind where a size is free
        how = draw.options(interpolation=("nearest", "nearest", "bilinear", "bicubic", "lanczos3")) if fits else ()
        return draw.step(f"layers.UpSampling{rank}D", x, ("size", draw.one(2, 2, 3)), *how, *where)
    if rank != 2:
        return None
    size = ("height", draw.one(4, 5, 7)), ("width", draw.one(4, 6))
    if kind == "center":
        return draw.step("layers.CenterCrop", x, *size)
    return draw.step("layers.Resizing", x, *size, *draw.options(interpolation=("bilinear", "nearest", "bicubic")))


def reshape(draw: Draw) -> Step | None:
    x = draw.pick(free=False)
    if x is None:
        return None
    shape = [n or 1 for n in draw.shapes[x]]
    kind = draw.one("flatten", "permute", "merge", "split", "repeat")
    if kind == "flatten" and len(shape) > 1:
        return draw.step("layers.Flatten", x)
    if kind == "permute" and len(shape) > 1:
        return draw.step("layers.Permute", x, ("dims", tuple(draw.rng.sample(range(1, len(shape) + 1), len(shape)))))
    if kind == "merge" and len(shape) > 2:
        return draw.step("layers.Reshape", x, ("target_shape", (-1, shape[-1])))
    if kind == "split" and shape[-1] % 2 == 0 and len(shape) < 4:
        return draw.step("layers.Reshape", x, ("target_shape", (*shape[:-1], 2, shape[-1] // 2)))
    if kind == "repeat" and len(shape) == 1:
        return draw.step("layers.RepeatVector", x, ("n", draw.one(2, 4, 5)))
    return None
