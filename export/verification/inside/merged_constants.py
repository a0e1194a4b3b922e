"""The forms in which a norm's result may stand in an artifact whose converter merged constants around it.

Before a layer of constants the result may lack the norm's own; behind a convolution or dense layer they are there. A
layer of two constants for a channel may have given them to the norm instead. What the norm divides may stand there
too, and where it hardly divides that is near to its result, but is not it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import keras
import numpy as np

from ...model.relative_error import scale
from ..recording import Call

Run = Callable[[keras.Layer, np.ndarray], np.ndarray]
_MOST_CHAINS = 4
_SMALL = 1e-6  # as a share of the root of epsilon: the norm's own variance is then 1e-12 of epsilon


def chains(calls: list[Call]) -> list[list[tuple[keras.Layer, ...]] | None]:
    """For each call the layers of two constants that may have given them to it, in turn; None if none can merge.

    None, unless all that takes what a call gives may have its constants: at once, or behind what only moves them.
    """
    users = defaultdict(list)
    for k, call in enumerate(calls):
        for i in call.takes:
            users[i].append(k)
    found: list[list[tuple[keras.Layer, ...]] | None] = [None] * len(calls)
    for i in reversed(range(len(calls))):
        if users[i] and all(calls[k].linear or (calls[k].passes and found[k] is not None) for k in users[i]):
            behind = [chain for k in users[i] for chain in _through(calls[k], found[k] or [])]
            found[i] = behind[:_MOST_CHAINS]
    return found


def _through(call: Call, behind: list[tuple[keras.Layer, ...]]) -> list[tuple[keras.Layer, ...]]:
    if call.affine is not None:
        return [(call.affine,), *((call.affine, *chain) for chain in behind)]
    return behind if call.passes else []


def without_constants(norm: keras.Layer, x: np.ndarray, run: Run) -> list[np.ndarray]:
    """What a norm makes of `x` without beta, and without gamma too."""
    found = []
    for n in range(1, len(_constants(norm)) + 1):
        with keras.StatelessScope(state_mapping=_constants(norm)[:n]):
            found.append(run(norm, x))
    return found


def with_those_behind(results: list[np.ndarray], chain: tuple[keras.Layer, ...], run: Run) -> Iterator[np.ndarray]:
    """Results of a norm with the constants of the layers behind it, with and without what these add."""
    for y in results:
        here, nothing = y, np.zeros_like(y)
        try:
            for layer in chain:
                here, nothing = run(layer, here), run(layer, nothing)
        except Exception:  # the channels lie elsewhere behind what was moved
            return
        yield here
        yield here - nothing


def divided(norm: keras.Layer, x: np.ndarray, run: Run) -> np.ndarray | None:
    """What a norm divides: `x` less its mean, if it takes that off. None for a norm without an epsilon.

    The norm of numbers that are small beside the root of epsilon divides them all by that root.
    """
    root = float(np.sqrt(getattr(norm, "epsilon", None) or 0.0))
    small = _SMALL * root / max(scale(x), 1e-30)
    if not root or not small:
        return None
    with keras.StatelessScope(state_mapping=_constants(norm)):
        return run(norm, x * small) * root / small


def _constants(norm: keras.Layer) -> list[tuple[keras.Variable, keras.KerasTensor]]:
    """Beta and gamma, those that there are, and what they would be if they changed nothing."""
    kinds = (("beta", keras.ops.zeros), ("gamma", keras.ops.ones), ("scale", keras.ops.ones))
    having = ((getattr(norm, name, None), fill) for name, fill in kinds)
    return [(v, fill(v.shape)) for v, fill in having if isinstance(v, keras.Variable)]
