"""A random model as a recipe: inputs, steps and outputs, and the Keras code that they stand for.

The code is what builds the model, so what is printed of a failing model is what failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import keras_norms

Arguments = tuple[tuple[str, Any], ...]


class Code(str):
    """An expression that is written as it stands, such as a layer that another one wraps."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Entry:
    """An input: the shape without the batch, and the batch where it is fixed."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str | None = None
    batch: int | None = None

    def line(self) -> str:
        dtype = f", dtype={self.dtype!r}" if self.dtype else ""
        batch = f", batch_size={self.batch}" if self.batch else ""
        return f"{self.name} = keras.Input({self.shape}{batch}{dtype}, name={self.name!r})"


@dataclass(frozen=True)
class Step:
    """One call. `made` is a layer's class, a function, an index such as "[:, 1:]", or "again" for an earlier layer.

    `listed` says that the sources are handed over as one list, `call` what is handed over beside them.
    """

    name: str
    made: str
    arguments: Arguments = ()
    sources: tuple[str, ...] = ()
    listed: bool = False
    call: Arguments = ()

    @property
    def is_layer(self) -> bool:
        return self.made.startswith(("layers.", "keras_norms."))

    @property
    def layer(self) -> str:
        """The name of the layer, which messages of the package should contain.

        Not one that Keras might give to an operation, as "subtract_2": it takes no model with two of one name.
        """
        return f"{self.made.rsplit('.', 1)[-1].lower()}_{self.name}"

    def lines(self) -> list[str]:
        given = ", ".join(self.sources)
        if self.made.startswith("["):
            return [f"{self.name} = {given}{self.made}"]
        if self.made == "again":
            layer, *rest = self.sources
            return [f"{self.name} = layer_of_{layer}({', '.join([*rest, *_written(self.call)])})"]
        given = f"[{given}]" if self.listed else given
        if not self.is_layer:
            return [f"{self.name} = {self.made}({', '.join([given, *_written(self.arguments)])})"]
        made = f"{self.made}({', '.join([*_written(self.arguments), f'name={self.layer!r}'])})"
        return [
            f"layer_of_{self.name} = {made}",
            f"{self.name} = layer_of_{self.name}({', '.join([given, *_written(self.call)])})",
        ]


@dataclass(frozen=True)
class Recipe:
    """A model. `nested` wraps it in another one; `named` gives the outputs names; `batch_size` is for the export."""

    seed: int
    inputs: tuple[Entry, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    nested: bool = False
    named: bool = False
    batch_size: int | None = None
    ids: int = field(default=6)

    def code(self) -> str:
        """What builds the model, and can be run as it stands with tests/support on the path."""
        lines = [entry.line() for entry in self.inputs]
        reused = {step.sources[0] for step in self.steps if step.made == "again"}
        for step in self.steps:
            made, *called = step.lines()
            if called and step.name not in reused:  # one line for a layer that is called once
                made, called = called[0].replace(f"layer_of_{step.name}", made.partition(" = ")[2], 1), []
            lines += [made, *called]
        inputs = f"[{', '.join(entry.name for entry in self.inputs)}]"
        pairs = ", ".join(f"'{name}_out': {name}" for name in self.outputs)
        outputs = f"{{{pairs}}}" if self.named else f"[{', '.join(self.outputs)}]"
        lines.append(f"model = keras.Model({inputs}, {outputs}, name='random')")
        if self.nested:
            lines += [
                "inner = model",
                "again = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in inner.inputs]",
            ]
            lines.append("model = keras.Model(again, inner(again), name='outer')")
        lines.append(f"randomize(model, {self.seed})")
        return "\n".join(lines)

    def script(self) -> str:
        """`code` with its imports."""
        head = (
            "import keras\nfrom keras import layers, ops\n\nimport keras_norms\nfrom random_models import randomize\n\n"
        )
        return f"{head}{self.code()}\n"

    def build(self) -> keras.Model:
        scope = namespace()
        exec(self.code(), scope)
        model: keras.Model = scope["model"]
        return model

    def pruned(self) -> Recipe:
        """Without the steps and inputs that no output needs."""
        needed = set(self.outputs)
        steps: list[Step] = []
        for step in reversed(self.steps):
            if step.name in needed:
                needed |= set(step.sources)
                steps.insert(0, step)
        return replace(self, steps=tuple(steps), inputs=tuple(entry for entry in self.inputs if entry.name in needed))


def namespace() -> dict[str, Any]:
    """The names that the code of a recipe uses."""
    return {"keras": keras, "layers": layers, "ops": ops, "keras_norms": keras_norms, "randomize": randomize}


def _written(arguments: Arguments) -> Iterator[str]:
    return (f"{name}={value!r}" for name, value in arguments)


def randomize(model: keras.Model, seed: int) -> None:
    """Give every weight a random value: statistics off zero and one, gammas of both signs, biases off zero."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.split("/")[-1], tuple(weight.shape)
        if not str(weight.dtype).startswith(("float", "bfloat")):
            continue
        if "variance" in name or name == "count":
            values = rng.uniform(0.3, 2.0, shape)
        elif name in ("gamma", "scale"):
            values = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape, p=[0.2, 0.8])
        elif name == "alpha":
            values = rng.uniform(0.05, 0.5, shape)
        elif name == "embeddings":
            values = rng.normal(0.0, 0.8, shape)
        elif len(shape) <= 1:
            values = rng.normal(0.0, 0.3, shape)
        else:
            values = rng.normal(0.0, 1.2 / np.sqrt(max(1, np.prod(shape[:-1]))), shape)
        weight.assign(values)


@contextmanager
def float64() -> Iterator[None]:
    """Within the block models are built, and compute, in float64."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
