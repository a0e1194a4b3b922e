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
from ..model.keras_graph import mask_of, set_mask, takes_training
from ..model.relative_error import absolute_errors, largest, relative, scale
from .call_graph import Call, Graph, Value

# Where subnormal terms, which some kernels flush to zero, are no longer far below a sum's rounding.
SMALLEST = {"float16": 2.0**-14, "bfloat16": 2.0**-103, "float32": 2.0**-103, "float64": 2.0**-970}
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}

# A tensor of the folded graph, by identity, to the one of the original that it stands for.
Pairs = dict[int, Value]


@contextlib.contextmanager
def inference() -> Iterator[None]:
    """Variables keep their values and no gradients are recorded."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(keras.StatelessScope())
        if keras.backend.backend() == "torch":
            import torch

            stack.enter_context(torch.no_grad())
        yield


def _run(call: Call, tensors: Mapping[int, Any], jiggle: np.random.Generator | None = None) -> list[Any]:
    def fill(x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        tensor = tensors[id(x)]
        return tensor if jiggle is None else _jiggled(tensor, jiggle)

    args, kwargs = tree.map_structure(fill, call.args), tree.map_structure(fill, call.kwargs)
    if takes_training(call.layer):
        kwargs = {**kwargs, "training": False}
    return tree.flatten(call.layer(*args, **kwargs))


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


def as_tensors(graph: Graph, inputs: list[Any]) -> dict[int, Any]:
    return {
        id(v): x if v.dtype == "string" else keras.ops.convert_to_tensor(x, dtype=v.dtype)
        for v, x in zip(graph.inputs, inputs, strict=True)
    }


class _Right:
    """The calls of the folded graph, each run as soon as its inputs are there."""

    def __init__(self, graph: Graph, pairs: Pairs, jiggle: np.random.Generator | None) -> None:
        self.pairs = pairs
        self.jiggle = jiggle
        self.tensors: dict[int, Any] = {}
        self.missing = {id(c): len(dict.fromkeys(c.inputs)) for c in graph.calls}
        self.uses = {id(v): len(v.consumers) for c in graph.calls for v in c.inputs}
        self.waiting = len(graph.calls)
        self.made: list[tuple[Value, Any]] = []
        for call in graph.calls:
            if not self.missing[id(call)]:
                self._run(call)

    def arrive(self, value: Value, tensor: Any) -> None:
        """A tensor is there: run what it completes."""
        if not value.consumers:
            return
        self.tensors[id(value)] = tensor
        for call in list(value.consumers):
            self.missing[id(call)] -= 1
            if not self.missing[id(call)]:
                self._run(call)

    def _run(self, call: Call) -> None:
        self.waiting -= 1
        outputs = _run(call, self.tensors, self.jiggle)
        for value in dict.fromkeys(call.inputs):
            self.uses[id(value)] -= 1
            if not self.uses[id(value)]:
                del self.tensors[id(value)]
        for value, tensor in zip(call.outputs, outputs, strict=True):
            if id(value) in self.pairs:
                self.made.append((self.pairs[id(value)], tensor))
            else:
                self.arrive(value, tensor)


def side_by_side(
    original: Graph, folded: Graph, pairs: Pairs, inputs: list[Any], jiggle: np.random.Generator | None = None
) -> tuple[dict[Value, float], list[Any]]:
    """The relative error of every compared tensor, and the outputs of the original."""
    by_key = {id(v): v for c in folded.calls for v in (*c.inputs, *c.outputs)} | {id(v): v for v in folded.inputs}
    followers: dict[int, list[Value]] = defaultdict(list)
    for follower, value in pairs.items():
        if follower in by_key:
            followers[id(value)].append(by_key[follower])
    found: dict[Value, float] = {}
    # Made by one side and waiting for the other to compare with it.
    ours: dict[int, Any] = {}
    theirs: dict[int, tuple[Value, Any]] = {}
    uses = {id(v): len(v.consumers) for c in original.calls for v in c.inputs}

    with inference():
        tensors = as_tensors(original, inputs)
        outputs: dict[int, Any] = {}
        visible = {id(v) for v in original.outputs}
        right = _Right(folded, pairs, jiggle)

        def compare() -> None:
            theirs.update({id(value): (value, tensor) for value, tensor in right.made})
            right.made.clear()
            for there in [i for i in theirs if i in ours]:
                value, tensor = theirs.pop(there)
                found[value] = difference(ours.pop(there), tensor)

        def arrive(value: Value, tensor: Any) -> None:
            if any(f.producer is not None for f in followers[id(value)]):
                ours[id(value)] = tensor
            for follower in followers[id(value)]:
                right.arrive(follower, tensor)
            compare()

        for value in original.inputs:
            outputs[id(value)] = tensors[id(value)]
            arrive(value, tensors[id(value)])
        for call in original.calls:
            for value, tensor in zip(call.outputs, _run(call, tensors), strict=True):
                tensors[id(value)] = tensor
                if id(value) in visible:
                    outputs[id(value)] = tensor
                arrive(value, tensor)
            for value in dict.fromkeys(call.inputs):
                uses[id(value)] -= 1
                if not uses[id(value)]:
                    del tensors[id(value)]
    if right.waiting:
        raise FoldError("The folded model has layers that the original does not feed. Nothing is returned.")
    ordered = {v: found[v] for c in original.calls for v in c.outputs if v in found}
    return ordered, [outputs[id(v)] for v in original.outputs]


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
