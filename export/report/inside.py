"""What was compared inside of an artifact, and how far from zero it holds."""

from __future__ import annotations

from dataclasses import dataclass

MOVES = 1e-3  # an output that moves by less from input to input, as a share of its scale, compares nothing


@dataclass(frozen=True)
class Inside:
    """Layers whose results were looked for among the values between the operations of an artifact.

    `norms` of them are norms, each computed anew from what the artifact feeds it; `deepest` are the last layers whose
    results move where an output of the model does not. `worst` is the largest error as a share of the result's scale,
    of the layer `worst_layer`. `problems` say which layer is wrong; `unseen` why an output cannot be judged.
    """

    norms: int = 0
    deepest: tuple[str, ...] = ()
    worst: float = 0.0
    worst_layer: str | None = None
    problems: tuple[str, ...] = ()
    wrong_layer: str | None = None
    unseen: str | None = None

    def __str__(self) -> str:
        told = [f"{self.norms} norms"] if self.norms else []
        told += [f"'{layer}'" for layer in self.deepest]
        if not told:
            return ""
        at = f" at '{self.worst_layer}'" if self.worst_layer else ""
        return f"compared inside the file: {', '.join(told)}; the largest error is {self.worst:.1e}{at}"


@dataclass(frozen=True)
class Reach:
    """Up to which mean of the inputs, in their deviations, outputs hold `tolerance` against float64.

    `artifact` is the file in the runtime named first, `model` Keras in float32; 0 if it does not hold at any that was
    tried, and `tried` is the largest of those.
    """

    tolerance: float
    artifact: float
    model: float
    tried: float

    def __str__(self) -> str:
        def up_to(mean: float) -> str:
            if not mean:
                return "at none of the means that were tried"
            return f"up to a mean of {mean:,.0f} deviations" + (" and more" if mean == self.tried else "")

        return f"holds {self.tolerance:.0e} {up_to(self.artifact)}; Keras itself {up_to(self.model)}"
