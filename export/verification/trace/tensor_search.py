"""Which tensor of a file stands for the result of a layer.

A tensor belongs to the result that it is nearest to, of all that the layers give: so one behind a convolution and its
merged activation belongs to the activation, and the convolution has none. Of those that belong to a result, the nearest
is taken, of the layer's own name where there are such, and the last of several that are as near; then what a quantized
file makes of it before others read it. A result that none is near enough to is looked for `by_name`; but a file may
lack it although it is right, so only where nothing behind it proves that. No tensor is the result of a layer whose last
operation was merged into one of another layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...model.layer_names import scope_of_result
from ..inside.found_values import Order, layouts, unstretched
from ..metrics import Distance, distance
from .laid_flat import Result, Value, sqnr_db

_FLOAT, _QUANTIZED = (60.0, 60.0), (8.0, 20.0)  # dB: the farthest tensor, and the farthest of another's name
_ALIKE = 6.0  # dB: of a layer's tensors that are this near to its result the last is the result
_FEW = 16  # so many numbers may be near to others by chance
_ROUNDED = 60.0  # dB: nothing but rounding, whatever the tensor is called
_COPY = 3.0  # dB: behind an activation that was merged, half of the signal is left


class Found(NamedTuple):
    """A tensor, and how far it is from the result; `stretched` up to scale and offset of each channel."""

    distance: Distance
    tensor: str
    stretched: bool = False


@dataclass
class TensorSearch:
    """The values of a file, each with the result of `results` that it is nearest to.

    `least` and `sure` are ratios in dB: of the farthest tensor that may be a layer's, and of the farthest that may be
    where its name says that it is another one's.
    """

    values: list[Value]
    results: list[Result]
    layers: Collection[str]
    least: float
    sure: float
    _nearest: list[tuple[object, float]] = field(init=False)
    _layers: list[str | None] = field(init=False)  # what the names say
    _swallowed_by: list[list[int]] = field(init=False)  # later ones of other layers, with an operation of its layer in
    _order: Order = field(init=False)  # of most results that are found for sure: the layout of those that are wrong

    @classmethod
    def of(cls, values: list[Value], results: list[Result], layers: Collection[str], quantized: bool) -> TensorSearch:
        """Noise moves a tensor of a quantized file far from the result that it stands for; rounding does not."""
        return cls(values, results, layers, *(_QUANTIZED if quantized else _FLOAT))

    def __post_init__(self) -> None:
        by_size: dict[int, list[Result]] = {}
        for key, result in {result.key: result for result in self.results if not result.zero}.items():
            by_size.setdefault(key[0], []).append(result)
        self._nearest = []
        orders: Counter[Order] = Counter()
        for value in self.values:
            found = [(result, *_nearness(result, value)) for result in by_size.get(value.flat.size, [])]
            if not found:
                self._nearest.append((None, -np.inf))
                continue
            nearest, ratio, order = max(found, key=lambda one: one[1])
            self._nearest.append((nearest.key, ratio))
            if len(nearest.few) > 1 and ratio >= self.sure:
                orders[order] += 1
        self._order = max(orders, key=lambda order: orders[order], default=None)
        named = [[scope_of_result(part, self.layers) for part in value.name.split(";")] for value in self.values]
        self._layers = [scopes[0][0] if scopes[0] else None for scopes in named]
        self._swallowed_by = _swallowed_by(named)

    def by_value(self, result: Result, layer: str, output: str | None = None) -> Found | None:
        """The tensor of a result by what it holds; of one that the file hands out, `output` is the name of that."""
        if output is not None:
            handed = [i for i, value in enumerate(self.values) if value.name == output]
            if handed and self.values[handed[-1]].flat.size == result.size:
                return self._measured(result, self.values[handed[-1]])
        own = [i for i, (key, ratio) in enumerate(self._nearest) if key == result.key and ratio >= _COPY]
        named = [i for i in own if self._says(i, layer)]
        near = named or (own if result.size >= _FEW else [])
        if not near:
            return None
        best = max(self._nearest[i][1] for i in near)
        base = max(i for i in near if self._nearest[i][1] >= best - _ALIKE)
        anyones = self._says(base, layer) or self._layers[base] is None
        if best < (self.least if anyones else self.sure) or (best < _ROUNDED and self._is_unfinished(base)):
            return None
        copies = [i for i in own if i >= base and self._is_copy(i, base)]
        return self._measured(result, self.values[min(copies, key=lambda i: self._nearest[i][1])])

    def stretched(self, result: Result, layer: str) -> Found | None:
        """The tensor that is the result but for a scale and an offset of each channel, which the next layer takes.

        Its distance is that of what varies: an offset that fits makes any two numbers that hardly vary alike.
        """
        best: Found | None = None
        alike = [i for i, value in enumerate(self.values) if value.flat.size == result.size]
        for i in self.named(result, layer) or alike:
            value = self.values[i]
            if result.pieces[0].ndim < 2 or self._nearest[i][1] >= self.sure:
                continue
            for order in layouts(result.pieces[0]):
                y, x = np.concatenate(result.pieces), np.concatenate(result.back(value.flat, order))
                middle = y.mean(tuple(range(y.ndim - 1)))
                found = Found(distance(y - middle, unstretched(x, y) - middle, 0.0), value.name, stretched=True)
                if best is None or found.distance.sqnr_db > best.distance.sqnr_db:
                    best = found
        return best if best is not None and best.distance.sqnr_db >= self.sure else None

    def by_name(self, result: Result, layer: str, call: int, calls: int) -> Found | None:
        """The last tensor of the layer's name, whatever it holds; of a layer that is called often, of that call."""
        last: dict[str, int] = {}
        for i in self.named(result, layer):
            last[str(scope_of_result(self.values[i].name, self.layers))] = i
        if len(last) != calls or self._swallowed_by[i := list(last.values())[call - 1]]:
            return None
        order = self._order if self._order in result.few else None
        return Found(distance(result.flat(order), self.values[i].flat, 0.0), self.values[i].name)

    def named(self, result: Result, layer: str) -> list[int]:
        """The tensors of a layer's name that are as large as its result."""
        return [i for i, value in enumerate(self.values) if value.flat.size == result.size and self._says(i, layer)]

    def _is_unfinished(self, i: int) -> bool:
        """Whether its layer's last operation was merged into one of another layer, and changed the numbers."""
        return any(self._nearest[j][0] != self._nearest[i][0] for j in self._swallowed_by[i])

    def _says(self, i: int, layer: str) -> bool:
        return self._layers[i] == layer

    def _is_copy(self, i: int, base: int) -> bool:
        """Whether a value is another one in fewer bits, or in more: it has its name, or none of a layer."""
        return i == base or self._layers[i] is None or self.values[i].name.startswith(self.values[base].name)

    @staticmethod
    def _measured(result: Result, value: Value) -> Found:
        _, order = _nearness(result, value)
        return Found(distance(result.flat(order), value.flat, 0.0), value.name)


def _nearness(result: Result, value: Value) -> tuple[float, Order]:
    ratios = [(sqnr_db(y, value.few), order) for order, y in result.few.items()]
    return max(ratios, key=lambda pair: pair[0])


def _swallowed_by(named: list[list[tuple[str, str] | None]]) -> list[list[int]]:
    """For each tensor those behind it that are another layer's, and whose names have a part of its own layer."""
    holders: dict[object, list[int]] = {}
    for j, scopes in enumerate(named):
        for scope in set(scopes[1:]) - {None, scopes[0]} if scopes[0] else ():
            holders.setdefault(scope, []).append(j)
    return [[j for j in holders.get(scopes[0], []) if j > i] for i, scopes in enumerate(named)]
