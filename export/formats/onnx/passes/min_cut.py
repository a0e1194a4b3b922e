"""A minimum cut of a small graph: the cheapest way to give each node one of two labels."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from itertools import pairwise

SOURCE, SINK = "source", "sink"


class Cut:
    """Edges with capacities; `labels()` says which nodes are on the source's side of a cheapest cut.

    Dinic's algorithm: as long as the sink can be reached, push flow along shortest paths only.
    """

    def __init__(self) -> None:
        self._capacity: dict[Hashable, dict[Hashable, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, a: Hashable, b: Hashable, capacity: float) -> None:
        """It costs `capacity` to have `a` on the source's side and `b` on the sink's."""
        self._capacity[a][b] += capacity
        self._capacity[b][a] += 0.0

    def labels(self) -> set[Hashable]:
        """The nodes on the source's side."""
        while SINK in (level := self._levels()):
            edges = {node: iter(list(neighbours)) for node, neighbours in self._capacity.items()}
            while self._push(level, edges):
                pass
        return set(level)

    def _levels(self) -> dict[Hashable, int]:
        level: dict[Hashable, int] = {SOURCE: 0}
        queue: deque[Hashable] = deque([SOURCE])
        while queue:
            node = queue.popleft()
            for other, capacity in self._capacity[node].items():
                if capacity > 0 and other not in level:
                    level[other] = level[node] + 1
                    queue.append(other)
        return level

    def _push(self, level: dict[Hashable, int], edges: dict[Hashable, Iterator[Hashable]]) -> bool:
        """Push flow along one path, found by a search that never tries an edge twice."""
        path: list[Hashable] = [SOURCE]
        while path[-1] != SINK:
            node = path[-1]
            other = next(
                (o for o in edges[node] if level.get(o) == level[node] + 1 and self._capacity[node][o] > 0), None
            )
            if other is not None:
                path.append(other)
            elif len(path) == 1:
                return False
            else:
                level.pop(path.pop())
        steps = list(pairwise(path))
        flow = min(self._capacity[a][b] for a, b in steps)
        for a, b in steps:
            self._capacity[a][b] -= flow
            self._capacity[b][a] += flow
        for node in path:  # an edge that is not full may carry more
            edges[node] = iter(list(self._capacity[node]))
        return True
