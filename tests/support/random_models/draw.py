"""What the steps of a random model draw from: the tensors so far, and a source of chance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from .recipe import Step

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
