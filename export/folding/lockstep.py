"""Runs two graphs on the same tensors at once and measures how far apart they are, tensor by tensor."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from ..errors import FoldError
from ..model.float16 import FLOAT16_SMALLEST_NORMAL
from ..model.keras_graph import mask_of, set_mask, takes_training
from ..model.relative_error import absolute_errors, largest, relative, scale
from .call_graph import Call, Graph, Value

# Where subnormal terms, which some kernels flush to zero, are no longer far below a sum's rounding.
SMALLEST = {"float16": FLOAT16_SMALLEST_NORMAL, "bfloat16": 2.0**-103, "float32": 2.0**-103, "float64": 2.0**-970}
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}

# A tensor of the folded graph to the one of the original that it stands for.
Pairs = dict[Value, Value]


@contextlib.contextmanager
def inference() -> Iterator[None]:
    """Variables keep their values and no gradients are recorded."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(keras.StatelessScope())
        if keras.backend.backend() == "torch":
            import torch

            stack.enter_context(torch.no_grad())
        yield


def _run(call: Call, tensors: Mapping[Value, Any], jiggle: np.random.Generator | None = None) -> list[Any]:
    def fill(x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        tensor = tensors[x]
        return tensor if jiggle is None else _jiggled(tensor, jiggle)

    args, kwargs = tree.map_structure(fill, call.args), tree.map_structure(fill, call.kwargs)
    if takes_training(call.layer):
        kwargs = {**kwargs, "training": False}
    return list(tree.flatten(call.layer(*args, **kwargs)))


def _jiggled(tensor: Any, rng: np.random.Generator) -> Any:
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype not in EPSILON:
        return tensor
    noise = 1.0 + EPSILON[dtype] * rng.choice((-1.0, 1.0), tuple(tensor.shape))
    moved = keras.ops.convert_to_tensor(np.asarray(keras.ops.convert_to_numpy(tensor), "float64") * noise, dtype=dtype)
    mask = mask_of(tensor)
    if mask is not None:
        set_mask(moved, mask)
    return moved


def as_tensors(graph: Graph, inputs: list[Any]) -> dict[Value, Any]:
    """The inputs of a graph as tensors of the backend, in the dtypes that it declares."""
    return {
        v: x if v.dtype == "string" else keras.ops.convert_to_tensor(x, dtype=v.dtype)
        for v, x in zip(graph.inputs, inputs, strict=True)
    }


class _Tensors:
    """The tensors of one graph that some call still has to take; each is let go after the last."""

    def __init__(self, graph: Graph, jiggle: np.random.Generator | None = None) -> None:
        self.jiggle = jiggle
        self.held: dict[Value, Any] = {}
        self.uses = {v: len(v.consumers) for c in graph.calls for v in c.inputs}

    def run(self, call: Call) -> list[tuple[Value, Any]]:
        """What the call makes of the tensors that are there."""
        outputs = _run(call, self.held, self.jiggle)
        for value in dict.fromkeys(call.inputs):
            self.uses[value] -= 1
            if not self.uses[value]:
                del self.held[value]
        return list(zip(call.outputs, outputs, strict=True))


class _Follower:
    """The folded graph: each of its calls runs as soon as its inputs are there."""

    def __init__(self, graph: Graph, pairs: Pairs, jiggle: np.random.Generator | None) -> None:
        self.pairs = pairs
        self.tensors = _Tensors(graph, jiggle)
        self.missing = {c: len(dict.fromkeys(c.inputs)) for c in graph.calls}
        # What it made of tensors that stand for one of the original: that one, and the tensor.
        self.made: list[tuple[Value, Any]] = []
        for call in graph.calls:
            if not self.missing[call]:
                self._run(call)

    def arrive(self, value: Value, tensor: Any) -> None:
        """A tensor is there: run what it completes."""
        if not value.consumers:
            return
        self.tensors.held[value] = tensor
        for call in list(value.consumers):
            self.missing[call] -= 1
            if not self.missing[call]:
                self._run(call)

    def _run(self, call: Call) -> None:
        for value, tensor in self.tensors.run(call):
            if value in self.pairs:
                self.made.append((self.pairs[value], tensor))
            else:
                self.arrive(value, tensor)

    @property
    def is_done(self) -> bool:
        return not any(self.missing.values())


class _Lockstep:
    """The original, which leads, and the folded graph, which is handed the original's tensors and compared with it."""

    def __init__(self, original: Graph, folded: Graph, pairs: Pairs, jiggle: np.random.Generator | None) -> None:
        self.original = original
        self.leader = _Tensors(original)
        self.follower = _Follower(folded, pairs, jiggle)
        self.found: dict[Value, float] = {}
        self.outputs: dict[Value, Any] = {}
        known = {v for c in folded.calls for v in (*c.inputs, *c.outputs)} | set(folded.inputs)
        self.stand_ins: dict[Value, list[Value]] = defaultdict(list)
        for stand_in, value in pairs.items():
            if stand_in in known:
                self.stand_ins[value].append(stand_in)
        # Made by one graph and waiting for the other to compare with it.
        self.ours: dict[Value, Any] = {}
        self.theirs: dict[Value, Any] = {}

    def run(self, inputs: list[Any]) -> None:
        for value, tensor in as_tensors(self.original, inputs).items():
            self._arrive(value, tensor)
        for call in self.original.calls:
            for value, tensor in self.leader.run(call):
                self._arrive(value, tensor)

    def _arrive(self, value: Value, tensor: Any) -> None:
        """A tensor of the original is there: keep it for those who need it, and compare what can be compared."""
        if value.consumers:
            self.leader.held[value] = tensor
        if value in self.original.outputs:
            self.outputs[value] = tensor
        stand_ins = self.stand_ins[value]
        if any(stand_in.producer is not None for stand_in in stand_ins):
            self.ours[value] = tensor
        for stand_in in stand_ins:
            self.follower.arrive(stand_in, tensor)
        self.theirs.update(self.follower.made)
        self.follower.made.clear()
        for both in [v for v in self.theirs if v in self.ours]:
            self.found[both] = difference(self.ours.pop(both), self.theirs.pop(both))


def side_by_side(
    original: Graph, folded: Graph, pairs: Pairs, inputs: list[Any], jiggle: np.random.Generator | None = None
) -> tuple[dict[Value, float], list[Any]]:
    """The relative error of every compared tensor, and the outputs of the original.

    With `jiggle`, every number that the folded graph takes is moved by one unit in the last place first.

    Raises:
        FoldError: If the folded graph has calls whose inputs the original does not make.
    """
    with inference():
        lockstep = _Lockstep(original, folded, pairs, jiggle)
        lockstep.run(inputs)
    if not lockstep.follower.is_done:
        raise FoldError("The folded model has layers that the original does not feed. Nothing is returned.")
    found = {v: lockstep.found[v] for c in original.calls for v in c.outputs if v in lockstep.found}
    return found, [lockstep.outputs[v] for v in original.outputs]


def difference(ours: Any, theirs: Any) -> float:
    """max |theirs - ours| / max |ours|; equal infinities and NaNs in the same places are equal.

    Below SMALLEST the format itself runs out of digits, so no smaller scale is asked for.
    """
    a, b = keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs)
    if a.shape != b.shape:
        return np.inf
    if a.dtype.kind in "OSU" or np.array_equal(a, b):
        return 0.0 if np.array_equal(a, b) else np.inf
    if a.dtype.kind in "biu":
        return np.inf
    smallest = SMALLEST.get(str(a.dtype), 0.0)
    return relative(largest(absolute_errors(a, b)), max(scale(a.astype("float64")), smallest))
