"""What a random model is made of: one function for each kind of step, drawing a layer or function and its arguments.

A function returns a `Step`, or None where no tensor suits it. Whether Keras takes the step is found by making it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .recipe import Code, Step

Shape = tuple[int | None, ...]

ACTIVATIONS = (
    "relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "selu", "silu", "gelu", "hard_sigmoid", "hard_silu",
    "leaky_relu", "softplus", "softsign", "exponential", "celu", "glu", "hard_shrink", "hard_tanh", "log_sigmoid",
    "log_softmax", "mish", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh_shrink",
    "linear",
)  # fmt: skip
COMMON = ("relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "elu", "leaky_relu", "hard_silu", "linear")
GATES = ("sigmoid", "hard_sigmoid", "tanh", "relu")


@dataclass
class Draw:
    """What the steps draw from: the tensors so far with their shapes (without the batch), and a source of chance."""

    rng: random.Random
    shapes: dict[str, Shape] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    layers: dict[str, tuple[Step, Shape]] = field(default_factory=dict)
    count: int = 0

    def name(self) -> str:
        self.count += 1
        return f"x{self.count}"

    def pick(self, *ranks: int, free: bool = True) -> str | None:
        """A tensor of floats whose shape without the batch has one of these lengths, a late one more often."""
        fitting = [
            name
            for name, shape in self.shapes.items()
            if name not in self.integers and (not ranks or len(shape) in ranks) and (free or None not in shape)
        ]
        if not fitting:
            return None
        return fitting[-1] if self.rng.random() < 0.6 else self.rng.choice(fitting)

    def one(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def options(self, **choices: tuple[Any, ...]) -> tuple[tuple[str, Any], ...]:
        """Keyword arguments, each from its choices; the first is Keras' default and is not written."""
        drawn = ((name, self.rng.choice(values)) for name, values in choices.items())
        return tuple((name, value) for name, value in drawn if value != choices[name][0])

    def step(self, made: str, source: str, *arguments: tuple[str, Any], **rest: Any) -> Step:
        return Step(self.name(), made, tuple(arguments), (source,), **rest)


def data_format(draw: Draw, rank: int) -> tuple[tuple[str, Any], ...]:
    return (("data_format", "channels_first"),) if rank >= 1 and draw.chance(0.12) else ()


def activation(draw: Draw) -> tuple[tuple[str, Any], ...]:
    if draw.chance(0.5):
        return ()
    return (("activation", draw.one(*(COMMON if draw.chance(0.6) else ACTIVATIONS))),)


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


def attend(draw: Draw) -> Step | None:
    x = draw.pick(2)
    if x is None:
        return None
    width = draw.shapes[x][-1]
    memories = [name for name, of in draw.shapes.items() if len(of) == 2 and name not in draw.integers]
    other = draw.rng.choice(memories) if draw.chance(0.4) else x
    kind = draw.one("MultiHeadAttention", "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
    causal = (("use_causal_mask", True),) if draw.chance(0.25) else ()
    if kind in ("Attention", "AdditiveAttention"):
        if draw.shapes[other][-1] != width:
            other = x
        how = draw.options(use_scale=(False, True), score_mode=("dot", "dot", "concat")) if kind == "Attention" else ()
        return Step(draw.name(), f"layers.{kind}", how, (x, other), listed=True, call=causal)
    if kind == "GroupQueryAttention":
        heads: tuple[tuple[str, Any], ...] = ("head_dim", 3), ("num_query_heads", 4), ("num_key_value_heads", 2)
    else:
        heads = ("num_heads", draw.one(1, 2, 3)), ("key_dim", draw.one(2, 4)), *draw.options(value_dim=(None, 3))
    return Step(draw.name(), f"layers.{kind}", (*heads, *draw.options(use_bias=(True, False))), (x, other), call=causal)


def recur(draw: Draw) -> Step | None:
    x = draw.pick(2, 2, 3, 4)
    if x is None:
        return None
    rank = len(draw.shapes[x])
    steps = draw.options(return_sequences=(False, True), go_backwards=(False, False, True))
    if rank > 2:
        given = ("filters", 2), ("kernel_size", draw.one(1, 3)), ("padding", draw.one("same", "valid")), *steps
        return draw.step(f"layers.ConvLSTM{rank - 2}D", x, *given)
    units, kind = draw.one(2, 3, 5), draw.one("LSTM", "GRU", "SimpleRNN")
    unrolls = (False,) if None in draw.shapes[x] else (False, False, False, True)
    how = draw.options(use_bias=(True, True, False), unroll=unrolls)
    if kind == "GRU":
        how += draw.options(reset_after=(True, True, False))
    if kind != "SimpleRNN" and draw.chance(0.15):
        how += (("recurrent_activation", draw.one(*GATES)),)
    if draw.chance(0.15):
        how += (("activation", draw.one("relu", "sigmoid", "softsign", "elu")),)
    if draw.chance(0.7):
        return draw.step(f"layers.{kind}", x, ("units", units), *how, *steps)
    inner = ", ".join(
        [str(units), *(f"{name}={value!r}" for name, value in (*how, *steps[:1]) if name != "go_backwards")]
    )
    join = draw.options(merge_mode=("concat", "concat", "sum", "ave", "mul"))
    return draw.step("layers.Bidirectional", x, ("layer", Code(f"layers.{kind}({inner})")), *join)


def over_time(draw: Draw) -> Step | None:
    x = draw.pick(2, 3, 4)
    if x is None:
        return None
    rows = {
        2: ("layers.Dense(3)", "layers.LayerNormalization()"),
        3: ("layers.Conv1D(3, 2)", "layers.Flatten()", "layers.Dense(4)", "layers.MaxPooling1D()"),
        4: ("layers.Conv2D(2, 3)", "layers.GlobalAveragePooling2D()", "keras_norms.GroupNormalization(1)"),
    }[len(draw.shapes[x])]
    return draw.step("layers.TimeDistributed", x, ("layer", Code(draw.rng.choice(rows))))


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


KINDS: dict[str, tuple[float, Callable[[Draw], Step | None]]] = {
    "conv": (7, conv),
    "dense": (3, dense),
    "norm": (7, norm),
    "spectral": (0.3, spectral),
    "activate": (5, activate),
    "pool": (4, pool),
    "space": (3, space),
    "reshape": (3, reshape),
    "merge": (5, merge),
    "attend": (2, attend),
    "recur": (2, recur),
    "over time": (1, over_time),
    "embed": (6, embed),
    "masking": (0.4, masking),
    "again": (1, again),
    "operation": (3, operation),
    "pair": (1, pair),
}
