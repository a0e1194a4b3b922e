"""The calls of a functional graph in an order in which they can be made anew."""

from __future__ import annotations

import itertools
from typing import Any

from .keras_graph import Traced, calls_to, nodes


def creation_order(core: Any) -> list[Any]:
    """The calls of a functional graph in an order that makes the calls of each layer in the order of their indices.

    Made anew in this order, a graph has the same config, also where layers are shared.
    """
    return core.nodes if isinstance(core, Traced) else in_creation_order(list(nodes(core)))


def in_creation_order(found: list[Any]) -> list[Any]:
    """These calls, each after those that it takes tensors of, and those of each layer in the order of their indices."""
    members = set(found)
    earlier: dict[Any, Any] = {}
    for operation in dict.fromkeys(node.operation for node in found):
        calls = [node for node in calls_to(operation) if node in members]
        earlier |= {later: node for node, later in itertools.pairwise(calls)}
    order: dict[Any, None] = {}
    started: set[Any] = set()
    for root in found:
        stack = [root]
        while stack:
            node = stack[-1]
            started.add(node)
            waits = [n for n in node.parent_nodes if n in members and n not in order]
            before = earlier.get(node)
            if before is not None and before not in started:
                waits.append(before)
            if waits:
                stack += waits
                continue
            order.setdefault(stack.pop())
    return list(order)
