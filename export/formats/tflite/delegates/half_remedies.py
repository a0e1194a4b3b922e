"""What helps where a number does not fit in a half: `target="gpu"` is named only where that file would be right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....model.float16 import FLOAT16_LARGEST, FLOAT16_SMALLEST_NORMAL
from ....model.layer_names import NORM_SCOPE
from ... import stages
from ..convert.scale_sums import scaled_by_terms
from ..convert.stage_sums import reduced_axes
from ..flatbuffer_graph import Graph

_GPU = "export with target='gpu' (--target gpu), which {}; or scale the inputs"
SINGLE = "run in single precision on the GPU (precision loss not allowed), or scale the inputs"
_MEAN = f"take a mean in the place of the sum (keras.ops.mean), {SINGLE}"
_EPSILON = "use a larger epsilon in the layer"
_CONSTANT = "choose a number that float16 holds, or run in single precision on the GPU (precision loss not allowed)"


class Remedies:
    """Remedies for the operations of a file, told by the names of their outputs.

    `largest` is the largest magnitude of each tensor in single precision, by name, inputs among them.
    """

    def __init__(self, path: Path, largest: Mapping[str, float]) -> None:
        self._graph, self._largest = Graph(path.read_bytes()), largest
        self._ops = {self._graph.name(int(i)): op for op in self._graph.ops for i in op.outputs if i >= 0}

    def for_result(self, name: str) -> str:
        """What helps where the result of an operation overflows or vanishes."""
        op = self._ops[name]
        if self._norm_helps(name):
            return _GPU.format("scales before it squares")
        if self._graph.kind(op) != "SUM":
            return SINGLE
        return _GPU.format("takes a mean in the place of the sum") if self._sum_helps(op) else _MEAN

    def for_constant(self, name: str) -> str:
        """What helps where a constant of an operation is no half."""
        if _norm(name) is None:
            return _CONSTANT
        return f"{_EPSILON}, or export with target='gpu' (--target gpu)" if self._is_default(name) else _EPSILON

    def for_terms(self, name: str) -> str:
        """What helps where the terms of a MEAN add up to more than a half holds."""
        x, counts = self._terms(name)
        in_stages = stages.longest(counts, stages.HALF) * self._largest.get(x, 0.0)
        if self._norm_helps(name):
            return _GPU.format("scales before it squares")
        return _GPU.format("takes means in stages") if in_stages <= FLOAT16_LARGEST else SINGLE

    def terms(self, name: str) -> int:
        """How many numbers a MEAN adds up at once; 0 for any other operation."""
        if self._graph.kind(self._ops[name]) != "MEAN":
            return 0
        _, counts = self._terms(name)
        longest = stages.longest(counts, stages.Limits(1 << 62, 1 << 62))
        return 0 if None in counts else int(longest)

    def _terms(self, name: str) -> tuple[str, list[int | None]]:
        op = self._ops[name]
        sizes = self._graph.sizes(int(op.inputs[0]))
        return self._graph.name(int(op.inputs[0])), [sizes[axis] for axis in reduced_axes(self._graph, op)]

    def _sum_helps(self, op: Any) -> bool:
        scaled = scaled_by_terms(self._graph, op) or []
        made = [self._graph.name(int(user.outputs[0])) for user, _, _ in scaled]
        return bool(made) and all(self._largest.get(name, 0.0) <= FLOAT16_LARGEST for name in made)

    def _norm_helps(self, name: str) -> bool:
        """Whether this is a norm in the default form, and what it takes and gives are halves."""
        if not self._is_default(name):
            return False
        inside = [op for op in self._graph.ops if _norm(self._graph.name(int(op.outputs[0]))) == _norm(name)]
        made = {int(i) for op in inside for i in op.outputs}
        taken = {int(i) for op in inside for i in op.inputs if not self._is_weight(int(i))} - made
        given = {i for i in made if any(not any(op is o for o in inside) for op in self._graph.users(i))}
        takes, gives = ([self._largest.get(self._graph.name(i)) for i in tensors] for tensors in (taken, given))
        return all(v is None or FLOAT16_SMALLEST_NORMAL <= v <= FLOAT16_LARGEST for v in takes) and all(
            v is None or v <= FLOAT16_LARGEST for v in gives
        )

    def _is_weight(self, tensor: int) -> bool:
        maker = self._graph.maker(tensor)
        return maker is not None and self._graph.kind(maker) == "DEQUANTIZE"

    def _is_default(self, name: str) -> bool:
        """Whether a result stands in a norm that takes statistics, in the form that divides by their root at once."""
        norm = _norm(name)
        rooted = (n for n, op in self._ops.items() if self._graph.kind(op) == "RSQRT")
        return norm is not None and any(_norm(other) == norm for other in rooted)


def _norm(name: str) -> str | None:
    """The scope of the norm that a result stands in."""
    scopes = [part.partition(f"/{NORM_SCOPE}/")[0] for part in name.split(";") if f"/{NORM_SCOPE}/" in part]
    return scopes[-1] if scopes else None
