"""Random model graphs for folding, as programs that can be shrunk.

A program is a list of steps (operation, integers); every list of steps builds a model, because each step picks its
sources among what there is. So a failing program is shrunk by leaving steps out.
"""

import random
from itertools import count

import keras
import numpy as np
from fold_replay import Replay

import keras_norms

L = keras.layers
CHANNELS, WIDEST, LARGEST = (2, 3, 4, 6), 24, 2500
# Keras runs the layer inside TimeDistributed once for each step.
MOST_STEPS = 30


class Builder:
    """Turns steps into tensors; `tensors` grows by every step that fits."""

    def __init__(self, seed, names=None, depth=0):
        self.rng = random.Random(seed)
        self.names = names or count()
        self.depth = depth
        self.tensors = []
        self.layers = []

    def pick(self, n, ranks=(2, 3, 4)):
        fitting = [x for x in self.tensors if len(x.shape) in ranks]
        # Mostly the newest, so that chains grow; sometimes any, so that tensors have several users.
        return None if not fitting else fitting[-1] if n % 4 else fitting[n % len(fitting)]

    def name(self, kind):
        return f"{kind}_{next(self.names)}"

    def step(self, kind, n):
        try:
            made = getattr(self, kind)(n)
        except (ValueError, ZeroDivisionError):  # A kernel that does not fit the tensor: no step.
            made = None
        if made is not None and all(made.shape[1:]) and np.prod(made.shape[1:]) <= LARGEST:
            self.tensors.append(made)

    def call(self, layer, x):
        self.layers.append((layer, tuple(x.shape)))
        return layer(x)

    def conv(self, n):
        x = self.pick(n, (3, 4))
        if x is None:
            return None
        r, rank = self.rng, len(x.shape) - 2
        channels = x.shape[-1]
        options = {
            "padding": r.choice(["valid", "same"]),
            "use_bias": r.random() < 0.6,
            "activation": r.choice([None, None, None, "relu"]),
            "name": self.name("conv"),
            "bias_initializer": "normal",
        }
        size, stride = r.choice([1, 1, 2, 3]), r.choice([1, 1, 2])
        kind = r.choice(["conv", "conv", "conv", "depthwise", "separable", "transposed"])
        if kind == "conv":
            # Seldom grouped: TensorFlow compiles every such call anew.
            groups = r.choice([g for g in (2, 3) if channels % g == 0] or [1]) if r.random() < 0.1 else 1
            layer = {1: L.Conv1D, 2: L.Conv2D}[rank](groups * r.choice((1, 2)), size, stride, groups=groups, **options)
        elif kind == "depthwise":
            layer = {1: L.DepthwiseConv1D, 2: L.DepthwiseConv2D}[rank](
                size, depth_multiplier=r.choice([1, 2]), **options
            )
        elif kind == "separable":
            layer = {1: L.SeparableConv1D, 2: L.SeparableConv2D}[rank](r.choice(CHANNELS), size, **options)
        else:
            layer = {1: L.Conv1DTranspose, 2: L.Conv2DTranspose}[rank](r.choice(CHANNELS), size, stride, **options)
        return self.call(layer, x) if channels <= WIDEST else None

    def dense(self, n):
        x = self.pick(n)
        if x is None:
            return None
        layer = L.Dense(self.rng.choice(CHANNELS), use_bias=self.rng.random() < 0.6, name=self.name("dense"))
        if self.rng.random() < 0.2 and len(x.shape) > 2 and x.shape[1] <= MOST_STEPS:
            layer = L.TimeDistributed(layer, name=self.name("td"))
        elif self.rng.random() < 0.2 and len(x.shape) == 3:
            layer = L.EinsumDense(
                "abc,cd->abd", (x.shape[1], 3), bias_axes=self.rng.choice(["d", None]), name=self.name("einsum")
            )
        return self.call(layer, x)

    def norm(self, n):
        x = self.pick(n)
        if x is None:
            return None
        r = self.rng
        axis = -1 if r.random() < 0.85 else r.randrange(1, len(x.shape))
        options = {"center": r.random() < 0.85, "scale": r.random() < 0.85, "name": self.name("bn"), "axis": axis}
        make = r.choice([L.BatchNormalization, keras_norms.BatchNormalization, keras_norms.BatchRenormalization])
        layer = make(**options)
        if r.random() < 0.1 and len(x.shape) > 2 and x.shape[1] <= MOST_STEPS and axis == -1:
            layer = L.TimeDistributed(layer, name=self.name("td"))
        if r.random() < 0.03:
            return layer(x, training=r.choice([True, False]))
        return self.call(layer, x)

    def other_norm(self, n):
        x = self.pick(n)
        if x is None:
            return None
        make = self.rng.choice([L.LayerNormalization, keras_norms.GroupNormalization, keras_norms.LayerNormalization])
        options = {"groups": 1} if make is keras_norms.GroupNormalization else {}
        return self.call(make(name=self.name("norm"), **options), x)

    def elementwise(self, n):
        x = self.pick(n)
        make = self.rng.choice(
            [
                L.ReLU,
                L.ReLU,
                L.Identity,
                lambda name: L.Dropout(0.3, name=name),
                lambda name: L.Activation("linear", name=name),
            ]
        )
        return None if x is None else self.call(make(name=self.name("same")), x)

    def spatial(self, n):
        x = self.pick(n, (3, 4))
        if x is None:
            return None
        rank = len(x.shape) - 2
        kind = self.rng.choice(["AveragePooling", "MaxPooling", "UpSampling", "Cropping", "ZeroPadding"])
        options = {"padding": "same"} if "Pooling" in kind and self.rng.random() < 0.5 else {}
        argument = 1 if kind in ("Cropping", "ZeroPadding") else 2
        return self.call(getattr(L, f"{kind}{rank}D")(argument, name=self.name("spatial"), **options), x)

    def shape(self, n):
        x = self.pick(n, (3, 4))
        if x is None:
            return None
        rank = len(x.shape) - 2
        make = self.rng.choice(
            [
                lambda name: L.Flatten(name=name),
                lambda name: getattr(L, f"GlobalAveragePooling{rank}D")(name=name),
                lambda name: getattr(L, f"GlobalMaxPooling{rank}D")(name=name),
                lambda name: L.Reshape((-1, x.shape[-1]), name=name),
                lambda name: L.Permute(tuple(self.rng.sample(range(1, rank + 2), rank + 1)), name=name),
            ]
        )
        return self.call(make(name=self.name("shape")), x)

    def join(self, n):
        x = self.pick(n)
        if x is None:
            return None
        same = [y for y in self.tensors if tuple(y.shape) == tuple(x.shape)]
        others = self.rng.sample(same, min(len(same), 2))
        kind = self.rng.choice(["add", "concatenate", "concatenate", "plus", "average", "subtract"])
        if len(others) < 2:
            return None
        if kind == "plus":
            return others[0] + others[1]
        if kind == "concatenate":
            return L.Concatenate(axis=self.rng.choice([-1, -1, 1]), name=self.name("concat"))(others)
        make = {"add": L.Add, "average": L.Average, "subtract": L.Subtract}[kind]
        return make(name=self.name(kind))(others)

    def operation(self, n):
        x = self.pick(n, (3, 4))
        if x is None:
            return None
        rank, ops = len(x.shape), keras.ops
        middle = [1] if rank == 3 else self.rng.choice([[1], [2], [1, 2]])
        modes = ["constant", "reflect"] if min(x.shape[1:-1]) > 1 else ["constant"]  # Nothing to reflect in one.
        around = [(0, 0), *((self.rng.randrange(2), 1) for _ in range(rank - 2)), (0, 0)]
        make = self.rng.choice(
            [
                lambda: ops.mean(x, axis=middle, keepdims=self.rng.random() < 0.5),
                lambda: ops.max(x, axis=middle, keepdims=self.rng.random() < 0.5),
                lambda: ops.pad(x, around, self.rng.choice(modes)),
                lambda: ops.reshape(x, (-1, int(np.prod(x.shape[1:-1])), x.shape[-1])),
                lambda: ops.reshape(x, (-1, *self.rng.sample(list(x.shape[1:]), rank - 1))),
                lambda: ops.transpose(x, (0, *self.rng.sample(range(1, rank), rank - 1))),
                lambda: ops.moveaxis(x, 1, -1),
                lambda: ops.expand_dims(x, self.rng.randrange(1, 4)) if rank == 3 else ops.squeeze(x[:, :1], 1),
                lambda: x[:, self.rng.randrange(2) :, ..., : self.rng.choice([None, 2])],
                lambda: ops.flip(x, self.rng.randrange(1, rank)),
                lambda: ops.repeat(x, 2, axis=self.rng.randrange(1, rank)),
                lambda: ops.average_pool(x, 2) if x.shape[1] > 2 else None,
            ]
        )
        return make()

    def again(self, n):
        """A layer called once more."""
        if not self.layers:
            return None
        layer, shape = self.layers[n % len(self.layers)]
        fitting = [y for y in self.tensors if tuple(y.shape) == shape]
        return layer(self.rng.choice(fitting)) if fitting else None

    def nested(self, n):
        x = self.pick(n)
        if x is None or self.depth >= 2:
            return None
        inner = build(program(n, 5), n, x.shape[1:], self.names, self.depth + 1)
        return None if inner is None else self.call(inner, x)

    def custom(self, n):
        """As `nested`, but what is inside is Python code."""
        x = self.pick(n)
        if x is None or self.depth >= 2:
            return None
        inner = build(program(n, 5), n, x.shape[1:], self.names, self.depth + 1)
        return None if inner is None else self.call(Replay(inner, name=self.name("custom")), x)


KINDS = {
    "conv": 7, "dense": 3, "norm": 10, "other_norm": 1, "elementwise": 2,
    "spatial": 2, "shape": 2, "join": 4, "again": 2, "nested": 2, "operation": 3, "custom": 2,
}  # fmt: skip


def program(seed, length=11):
    rng = random.Random(seed)
    return [(rng.choices(list(KINDS), list(KINDS.values()))[0], rng.randrange(1000)) for _ in range(length)]


def build(steps, seed, shape=(6, 5, 3), names=None, depth=0):
    """The model of a program, or None if nothing was made."""
    builder = Builder(seed, names, depth)
    inputs = [keras.Input(shape, name=builder.name("input")) for _ in range(1 if depth else 1 + seed % 2)]
    builder.tensors += inputs
    for kind, n in steps:
        builder.rng = random.Random(f"{seed} {kind} {n}")
        builder.step(kind, n)
    made = builder.tensors[len(inputs) :]
    if not made:
        return None
    rng = random.Random(seed)
    if depth:
        return keras.Model(inputs, made[-1], name=builder.name("inner"))
    used = [made[-1], *rng.sample(made, min(len(made), rng.choice([0, 0, 1])))]
    outputs = list({id(x): x for x in used}.values())
    if rng.random() < 0.3:
        return keras.Model(inputs, {f"out{i}": x for i, x in enumerate(outputs)}, name="fuzz")
    return keras.Model(inputs, outputs, name="fuzz")
