"""Semantic faults put into exported files: what a wrong exporter, an editor or a bad disk could have made of them.

`corruptions(content, suffix)` lists the faults that a file can have, `spread` picks of them evenly by kind, and
`Corruption.of` makes the file with the fault. `judge` says, without the package, what a file computes.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from . import onnx_faults, tflite_faults
from .corruption import Corruption

FAULTS = {".tflite": tflite_faults, ".onnx": onnx_faults}


def corruptions(content: bytes, suffix: str) -> list[Corruption]:
    """Every fault that the file can have, the same for the same file."""
    return list(FAULTS[suffix].corruptions(content))


def spread(found: Sequence[Corruption], count: int, seed: str) -> list[Corruption]:
    """`count` of them, chosen at random, as evenly by kind as there are."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    kinds: dict[str, list[Corruption]] = defaultdict(list)
    for i in rng.permutation(len(found)):
        kinds[found[i].kind].append(found[i])
    names = [list(kinds)[i] for i in rng.permutation(len(kinds))]
    picked: list[Corruption] = []
    while len(picked) < min(count, len(found)):
        picked += [kinds[name].pop() for name in names if kinds[name]]
    return picked[:count]


__all__ = ["Corruption", "corruptions", "spread"]
