"""A TFLite file, a rewrite of it, and what should come of them; and what the files of several rewrites share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

RELU = 1  # ActivationFunctionType.RELU
SAME, VALID = 0, 1  # Padding


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """`rewrite` makes of `file` the operations `becomes`, which give the same numbers; it leaves the file if None.

    `computes` is a file of those numbers where `file` runs in no runtime.
    """

    file: bytes
    rewrite: Any
    becomes: str | None = None
    error: float = 1e-6  # as a share of the largest output
    changes_constants: bool = False
    inputs: dict[str, np.ndarray] = field(default_factory=lambda: {"x": random(1, 4, 4, 4)})
    computes: bytes | None = None
