"""How far batch renormalization may correct, as a function of the training step."""

from __future__ import annotations

from typing import overload

import keras
import numpy as np
from keras import ops

from keras_norms import _arguments
from keras_norms._types import Config, Integer, Number, Tensor


@keras.saving.register_keras_serializable(package="keras_norms")
class RenormSchedule:
    """Clipping limits `(r_max, d_max)` of batch renormalization at a training step.

    Up to and including `warmup_steps` the limits are (1, 0), which is plain batch normalization; then each climbs
    linearly, r_max until `r_max_steps` and d_max until `d_max_steps`, and stays:

        r_max(t) = 1 + (r_max - 1) * clip((t - warmup_steps) / (r_max_steps - warmup_steps), 0, 1)
        d_max(t) =         d_max   * clip((t - warmup_steps) / (d_max_steps - warmup_steps), 0, 1)

    The defaults are a tenth of the paper's, since with the paper's a training shorter than 5,000 steps would silently
    be plain batch normalization.

    Args:
        r_max: Final limit of the scale correction, at least 1: `r` is clipped to [1/r_max, r_max].
        d_max: Final limit of the shift correction, at least 0: `d` is clipped to [-d_max, d_max].
        warmup_steps: Last step of plain batch normalization; -1 for none.
        r_max_steps: Step at which r_max is reached, at least `warmup_steps`.
        d_max_steps: Step at which d_max is reached, at least `warmup_steps`.

    Raises:
        TypeError: If a number of steps is not an integer.
        ValueError: If a limit or a number of steps is out of range.

    Example:

    >>> schedule = RenormSchedule.for_training(total_steps=10_000)
    >>> schedule(0), schedule(10_000)
    ((1.0, 0.0), (3.0, 5.0))

    Reference: Ioffe, 2017, https://arxiv.org/abs/1702.03275, section 3.2.
    """

    def __init__(
        self,
        r_max: Number = 3.0,
        d_max: Number = 5.0,
        warmup_steps: Integer = 500,
        r_max_steps: Integer = 4_000,
        d_max_steps: Integer = 2_500,
    ) -> None:
        largest = float(np.finfo("float32").max)
        self.r_max = _arguments.number(
            "r_max", r_max, 1.0, largest, "a finite number of at least 1", "1 switches the scale correction off."
        )
        self.d_max = _arguments.number(
            "d_max", d_max, 0.0, largest, "a finite number of at least 0", "0 switches the shift correction off."
        )
        remedy = "Count training steps."
        self.warmup_steps = _arguments.integer("warmup_steps", warmup_steps, remedy)
        self.r_max_steps = _arguments.integer("r_max_steps", r_max_steps, remedy)
        self.d_max_steps = _arguments.integer("d_max_steps", d_max_steps, remedy)
        if self.warmup_steps < -1:
            raise ValueError(
                f"`warmup_steps` has to be at least -1. Received: warmup_steps={self.warmup_steps}. "
                "Use -1 to open the limits from the first step."
            )
        for name, steps in (("r_max_steps", self.r_max_steps), ("d_max_steps", self.d_max_steps)):
            if steps < self.warmup_steps:
                raise ValueError(
                    f"`{name}` has to be at least `warmup_steps`. Received: {name}={steps}, "
                    f"warmup_steps={self.warmup_steps}. Move the end of the climb behind the end of the warm-up."
                )

    @classmethod
    def constant(cls, r_max: Number, d_max: Number) -> RenormSchedule:
        """The same limits from the first step on."""
        return cls(r_max, d_max, warmup_steps=-1, r_max_steps=-1, d_max_steps=-1)

    @classmethod
    def paper(cls) -> RenormSchedule:
        """Ioffe's schedule for ImageNet: warm-up of 5,000 steps, r_max=3 at 40,000, d_max=5 at 25,000."""
        return cls(3.0, 5.0, warmup_steps=5_000, r_max_steps=40_000, d_max_steps=25_000)

    @classmethod
    def for_training(cls, total_steps: Integer, r_max: Number = 3.0, d_max: Number = 5.0) -> RenormSchedule:
        """The paper's proportions, scaled so that both limits are reached by `total_steps`."""
        total = _arguments.integer("total_steps", total_steps, "Count the training steps of the whole run.")
        if total < 1:
            raise ValueError(
                f"`total_steps` has to be at least 1. Received: total_steps={total}. "
                "Count the training steps of the whole run."
            )
        return cls(r_max, d_max, warmup_steps=total // 8, r_max_steps=total, d_max_steps=total * 5 // 8)

    @overload
    def __call__(self, step: Number) -> tuple[float, float]: ...

    @overload
    def __call__(self, step: Tensor) -> tuple[Tensor, Tensor]: ...

    def __call__(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """The limits at `step`: floats for a Python or NumPy number, float32 tensors for a tensor."""
        if isinstance(step, (int, float, np.integer, np.floating)):
            return 1.0 + (self.r_max - 1.0) * self._progress(step, self.r_max_steps), self.d_max * self._progress(
                step, self.d_max_steps
            )
        # Subtracted as integers: float32 stops counting single steps at 2^24.
        step = ops.cast(step, "int32") - self.warmup_steps
        return 1.0 + (self.r_max - 1.0) * self._traced_progress(step, self.r_max_steps), (
            self.d_max * self._traced_progress(step, self.d_max_steps)
        )

    def _progress(self, step: Number, end: int) -> float:
        span = max(end - self.warmup_steps, 1)
        return float(min(max((step - self.warmup_steps) / span, 0.0), 1.0))

    def _traced_progress(self, steps_since_warmup: Tensor, end: int) -> Tensor:
        span = max(end - self.warmup_steps, 1)
        return ops.clip(ops.cast(steps_since_warmup, "float32") / span, 0.0, 1.0)

    def get_config(self) -> Config:
        return {
            "r_max": self.r_max,
            "d_max": self.d_max,
            "warmup_steps": self.warmup_steps,
            "r_max_steps": self.r_max_steps,
            "d_max_steps": self.d_max_steps,
        }

    @classmethod
    def from_config(cls, config: Config) -> RenormSchedule:
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RenormSchedule) and type(other) is type(self) and other.get_config() == self.get_config()
        )

    def __hash__(self) -> int:
        return hash(tuple(self.get_config().values()))

    def __repr__(self) -> str:
        return f"RenormSchedule({', '.join(f'{k}={v}' for k, v in self.get_config().items())})"
