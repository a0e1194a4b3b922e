"""The error of each call of a model in a file, and why a call has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from ..recording import Call
from .laid_flat import Result
from .recorded import Graph
from .tensor_search import Found, TensorSearch

_MOST_GAINED = 20.0  # dB: what a layer that takes no means may take off the noise
_NO_FLOATS = "gives no floating-point numbers"
_ZEROS = "gives nothing but zeros here"
_NOWHERE = "in no tensor of the file"


class CallErrors:
    """For each call of a graph what was found of it: `worst` of its results, the names of all, or the reason."""

    def __init__(self, graph: Graph, search: TensorSearch, handed: dict[object, str]) -> None:
        self.graph, self._search = graph, search
        self._users: list[list[int]] = [[] for _ in graph.calls]
        for k, call in enumerate(graph.calls):
            for i in call.takes:
                self._users[i].append(k)
        self.found = [
            [None if y.zero else search.by_value(y, call.layer, handed.get(y.key)) for y in results]
            for call, results in zip(graph.calls, graph.results, strict=True)
        ]
        self._numbers, self._calls = numbered(graph.calls, lambda call: call.layer)
        for i in reversed(range(len(graph.calls))):
            if graph.calls[i].whole:
                self._look_further(i)

    def worst(self, i: int) -> Found | None:
        """Of the results of a call that were found, the farthest."""
        return min((f for f in self.found[i] if f), key=lambda f: f.distance.sqnr_db, default=None)

    def before(self, i: int) -> float:
        """The lowest ratio of what a call takes, in dB; infinite where that is exact, or unknown."""
        ratios = [self._ratio(k) for k in self.graph.calls[i].given]
        for x in self.graph.fed[i]:
            found = None if x.zero else self._search.by_value(x, "")
            ratios += [found.distance.sqnr_db] if found else []
        return min(ratios, default=float("inf"))

    def why_not(self, i: int, known: Collection[str]) -> str:
        """Why a call has no error; `known` are the paths that the user knows."""
        results = self.graph.results[i]
        if not results:
            return _NO_FLOATS
        if all(y.zero for y in results):
            return _ZEROS
        behind = dict.fromkeys(_known(self.graph.calls[k].path, known) for k in self._next_found(i))
        names = [f"'{path}'" for path in behind if path and path != self.graph.calls[i].path]
        return f"fused into {' and '.join(names)}" if names else _NOWHERE

    def _ratio(self, i: int) -> float:
        found = self.worst(i)
        return self.before(i) if found is None else found.distance.sqnr_db

    def _look_further(self, i: int) -> None:
        """What was not found may be there up to scale and offset, or be wrong; not if what follows proves it right."""
        call = self.graph.calls[i]
        for n, y in enumerate(self.graph.results[i]):
            if self._is_unlikely(i, n):
                self.found[i][n] = None
            if self.found[i][n] is not None or y.zero:
                continue
            if self._goes_into_constants(i):
                self.found[i][n] = self._search.stretched(y, call.layer)
            if self.found[i][n] is None and not self._is_proven(i):
                self.found[i][n] = self._search.by_name(y, call.layer, self._numbers[i], self._calls[call.layer])

    def _is_unlikely(self, i: int, n: int) -> bool:
        """Whether all that follows is much nearer than one of a layer's several tensors: that is not its result."""
        found, y = self.found[i][n], self.graph.results[i][n]
        if found is None or len(self._search.named(y, self.graph.calls[i].layer)) < 2:
            return False
        behind = self._next_found(i)
        ratios = [worst.distance.sqnr_db for k in behind if (worst := self.worst(k))]
        alike = all(other.size >= y.size for k in behind for other in self.graph.results[k])
        return bool(ratios) and alike and min(ratios) > found.distance.sqnr_db + _MOST_GAINED

    def _is_proven(self, i: int) -> bool:
        ratios = (found.distance.sqnr_db for k in self._next_found(i) if (found := self.worst(k)))
        return any(ratio >= self._search.sure for ratio in ratios)

    def _goes_into_constants(self, i: int) -> bool:
        """Whether all takers may have the scale and offset of a result: norms take them back, kernels hold a norm's."""
        takers = [self.graph.calls[k] for k in self._users[i] if i in self.graph.calls[k].given]
        of_norm = self.graph.calls[i].is_norm and all(call.linear for call in takers)
        return bool(takers) and (of_norm or all(call.is_norm for call in takers))

    def _next_found(self, i: int) -> list[int]:
        """The calls behind one that are found first, on every way to the end."""
        behind, seen, todo = [], set(), list(self._users[i])
        while todo:
            k = todo.pop(0)
            if k in seen:
                continue
            seen.add(k)
            if self.worst(k) is None:
                todo += self._users[k]
            else:
                behind.append(k)
        return behind


def numbered(calls: list[Call], name: Callable[[Call], str]) -> tuple[list[int], Counter[str]]:
    """Which of the calls of its name each call is, from 1, and how many each name has."""
    count: Counter[str] = Counter()
    numbers = []
    for call in calls:
        count[name(call)] += call.whole
        numbers.append(count[name(call)])
    return numbers, count


def _known(path: str, known: Collection[str]) -> str:
    """The layer of a path, or the innermost one around it, that is known."""
    while path and path not in known:
        path = path.rpartition("/")[0]
    return path


def same_result(y: Result, others: list[list[Result]], least: float) -> int | None:
    """The last of `others` with a result that is the same but for rounding."""
    near = (i for i in reversed(range(len(others))) if any(y.is_like(other, least) for other in others[i]))
    return next(near, None)
