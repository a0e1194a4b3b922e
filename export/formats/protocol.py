"""What verification and timing need of a runtime."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..model.signature import Spec


class Runner(Protocol):
    """A loaded artifact. `inputs` and `outputs` stand in the order of the file."""

    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inputs by name to outputs by name; free dimensions take the size of the arrays."""
        ...
