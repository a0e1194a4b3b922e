"""How large each output is on ordinary inputs: where it is far smaller on one, rounding is judged against this."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.relative_error import scale
from ..model.test_inputs import Probe
from .reference import Reference
from .tolerance import ordinary


@dataclass(frozen=True)
class OutputScales:
    """The largest max |y| of each output on random inputs, and on those of the user.

    Apart, for the user's numbers may be a million times as large or as small: neither must hide errors on the other.
    """

    random: list[float]
    given: list[float]

    @classmethod
    def among(cls, expectations: list[tuple[Probe, Reference]]) -> OutputScales:
        """What the model reaches on `expectations`; where one kind is missing, the other stands for it."""
        random, given = (_largest([x for x in expectations if x[0].given is of]) for of in (False, True))
        return cls(random or given, given or random) if random or given else cls(*[_zeros(expectations)] * 2)

    def on(self, case: Probe) -> list[float]:
        """What each output reaches on inputs of the kind of `case`; on those that break norms, on random ones."""
        return self.given if case.given else self.random


def _largest(expectations: list[tuple[Probe, Reference]]) -> list[float]:
    found = [list(map(scale, expected.outputs)) for case, expected in expectations if ordinary(case)]
    return [max(scales) for scales in zip(*found, strict=True)]


def _zeros(expectations: list[tuple[Probe, Reference]]) -> list[float]:
    return [0.0] * max((len(expected.outputs) for _, expected in expectations), default=0)
