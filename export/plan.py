"""Decides which norms fold into which weights; touches no model.

Each norm is tried backward (into the layers that make its input), then forward (into the layers that use its output),
until nothing changes. A map may travel through several calls on its way; it is taken in only if every layer that it
reaches takes it in, at every call site of that layer, and nobody else sees the tensors it changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import tree

from . import affine as algebra
from .affine import Affine
from .graph import Call, Convert, Graph, Key, Value
from .nodes import functional, unwrapped
from .rules import BATCH_NORMS, Absorb, Pass, Site, Skip, rule_of
from .rules.base import Weights
from .rules.norm import channel_axes

LARGEST = {"float16": 65504.0, "bfloat16": 3.38e38, "float32": 3.40e38, "float64": 1.79e308}


@dataclass
class Fold:
    """One planned fold; `shows_at` are the tensors in which its effect can be compared with the original."""

    norm: str
    into: tuple[str, ...]
    rule: str
    shows_at: list[Key]


@dataclass
class Plan:
    """New weights for some layers, norms to take out, and what to tell about each norm."""

    edits: dict[Any, list[Absorb]] = field(default_factory=lambda: defaultdict(list))
    removed: set[Any] = field(default_factory=set)
    folds: list[Fold] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    # Tensors that the folded model does not reproduce, each with the index of the fold that changed it last.
    altered: dict[Key, int] = field(default_factory=dict)

    def read(self, layer: Any, names: tuple[str, ...]) -> Weights:
        """The weights of a layer as planned so far, in float64."""
        wanted = tuple(dict.fromkeys((*names, *(n for edit in self.edits.get(layer, ()) for n in edit.weights))))
        weights: Weights = {}
        for name in wanted:
            variable = getattr(layer, name)
            weights[name] = None if variable is None else algebra.float64(keras.ops.convert_to_numpy(variable.value))
        for edit in self.edits.get(layer, ()):
            weights |= edit.update(weights)
        return weights

    def config(self, layer: Any) -> dict[str, Any]:
        """The config entries of a layer that change."""
        return {name: value for edit in self.edits.get(layer, ()) for name, value in edit.config.items()}


@dataclass
class _Trace:
    """What a walk through the graph found: who takes the map in, and which tensors change on the way."""

    taken: dict[Any, list[tuple[Call, Affine, Absorb]]] = field(default_factory=lambda: defaultdict(list))
    changed: list[Value] = field(default_factory=list)


def plan(graph: Graph) -> Plan:
    """The folds of every batch norm in the graph that is exact to fold."""
    return _Planner(graph).run()


def is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, BATCH_NORMS)


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.plan = Plan()

    def run(self) -> Plan:
        norms, self.plan.kept = self._candidates()
        reasons: dict[Any, list[str]] = {}
        todo = dict.fromkeys(norms)
        changed = True
        while changed:
            changed = False
            for direction in (self._backward, self._forward):
                for norm in list(todo):
                    maps = self._maps(norm)
                    why = maps if isinstance(maps, Skip) else direction(norm, maps)
                    if why is None:
                        del todo[norm]
                        changed = True
                    elif maps is why:
                        reasons[norm] = [why.reason]
                    elif direction == self._backward:
                        reasons[norm] = [f"before it, {why.reason}"]
                    else:
                        reasons[norm].append(f"after it, {why.reason}")
        order = {call.path: i for i, call in enumerate(self.graph.calls)}
        self.plan.kept += [(norms[norm], "; ".join(reasons[norm])) for norm in todo]
        self.plan.kept.sort(key=lambda record: order.get(record[0], len(order)))
        return self.plan

    # Which norms there are

    def _candidates(self) -> tuple[dict[Any, str], list[tuple[str, str]]]:
        """The norms that are layers of the graph, with their paths; those that are not, with the reason."""
        norms: dict[Any, str] = {}
        kept = []
        for call in self.graph.calls:
            layer = unwrapped(call.layer)
            if is_batch_norm(layer):
                norms.setdefault(layer, call.path)
            elif isinstance(layer, keras.Layer):
                reason = _composite_reason(call)
                kept += [(f"{call.path}/{path}", reason) for path in _norms_inside(layer)]
        return norms, list(dict.fromkeys(kept))

    def _maps(self, norm: Any) -> list[tuple[Call, Affine]] | Skip:
        """The affine map of each call of a norm, or why it is not simply that."""
        if type(norm) not in BATCH_NORMS:
            return Skip(f"its class {type(norm).__name__} is a subclass and may compute something else")
        if getattr(norm, "activity_regularizer", None) is not None:
            return Skip("it has an activity regularizer, whose loss would be lost")
        maps = []
        for call in self.graph.calls_of[norm]:
            if unwrapped(call.layer) is not norm:
                return Skip(f"it is also used inside {call.path!r}, whose call is Python code")
            why = self._not_inference(call)
            if why is not None:
                return why
            w = self.plan.read(norm, ("gamma", "beta", "moving_mean", "moving_variance"))
            mean, variance = w["moving_mean"], w["moving_variance"]
            assert mean is not None
            assert variance is not None
            if np.any(variance + norm.epsilon <= 0):
                return Skip("its variance plus epsilon is not positive in every channel")
            shift = int(call.layer is not norm)
            (axis,) = channel_axes(norm, len(call.inputs[0].shape) - shift)
            map_ = algebra.normalization(w["gamma"], w["beta"], mean, variance, norm.epsilon, axis + shift)
            if not (np.all(np.isfinite(map_.scale)) and np.all(np.isfinite(map_.shift))):
                return Skip("its statistics or its gamma and beta are not finite")
            maps.append((call, map_))
        return maps

    def _not_inference(self, call: Call) -> Skip | None:
        if call.training:
            return Skip(
                "it is called with training=True"
                if not call.training_from
                else f"it runs in training mode: {call.training_from!r} is called with training=True, "
                "which Keras hands on to the layers after it"
            )
        if len(call.inputs) != 1:
            return Skip("it is called with an explicit mask")
        source, result = call.inputs[0], call.outputs[0]
        if source.dtype != result.dtype:
            return Skip(f"it also casts from {source.dtype} to {result.dtype}")
        return None

    # Backward

    def _backward(self, norm: Any, maps: list[tuple[Call, Affine]]) -> Skip | None:
        trace = _Trace()
        for call, map_ in maps:
            why = self._walk_back(call.inputs[0], map_, call, trace)
            if why is not None:
                return why
        return self._commit(norm, trace, [k for call, _ in maps for k in call.outputs[0].keys], forward=False)

    def _walk_back(self, value: Value, map_: Affine, user: Call, trace: _Trace) -> Skip | None:
        call = value.producer
        if call is None:
            return Skip("its input is an input of the model")
        use = self.graph.another_use(value, user)
        if use is not None:
            return Skip(f"the output of {call.path!r} is also {use}")
        trace.changed.append(value)
        answer = self._ask(call, "backward", call.outputs.index(value), map_)
        if isinstance(answer, Skip):
            return answer
        if isinstance(answer, Absorb):
            trace.taken[unwrapped(call.layer)].append((call, map_, answer))
            return None
        for index, onward in answer.onward:
            why = self._walk_back(call.inputs[index], onward, call, trace)
            if why is not None:
                return why
        return None

    # Forward

    def _forward(self, norm: Any, maps: list[tuple[Call, Affine]]) -> Skip | None:
        trace = _Trace()
        for call, map_ in maps:
            why = self._walk_on(call.outputs[0], map_, call, trace)
            if why is not None:
                return why
        shows_at = [
            key for hits in trace.taken.values() for call, _, _ in hits for value in call.outputs for key in value.keys
        ]
        return self._commit(norm, trace, shows_at, forward=True)

    def _walk_on(self, value: Value, map_: Affine, source: Call, trace: _Trace) -> Skip | None:
        use = self.graph.visible_output(value)
        if use is not None:
            return Skip(f"the output of {source.path!r} is {use}")
        if not value.consumers:
            return Skip(f"the output of {source.path!r} is not used")
        trace.changed.append(value)
        for call in value.consumers:
            places = [i for i, x in enumerate(call.inputs) if x is value]
            if len(places) > 1:
                return Skip(f"{call.path!r} uses the output of {source.path!r} twice")
            answer = self._ask(call, "forward", places[0], map_)
            if isinstance(answer, Skip):
                return answer
            if isinstance(answer, Absorb):
                trace.taken[unwrapped(call.layer)].append((call, map_, answer))
                continue
            for index, onward in answer.onward:
                why = self._walk_on(call.outputs[index], onward, call, trace)
                if why is not None:
                    return why
        return None

    # Both

    def _ask(self, call: Call, direction: str, index: int, map_: Affine) -> Absorb | Pass | Skip:
        rule = rule_of(call.layer)
        if rule is None:
            return Skip(f"{call.path!r} ({_kind(call.layer)}) is not linear, or not known to be")
        if call.training and "training" in getattr(call.layer, "_call_context_args", ()):
            return Skip(f"{call.path!r} runs in training mode (training=True)")
        if any(isinstance(x, Value) for x in tree.flatten(call.kwargs)):
            return Skip(f"{call.path!r} is called with keyword tensors")
        if call.outputs[0].dtype != call.inputs[0].dtype and not _is_embedding(call.layer):
            return Skip(f"{call.path!r} also casts from {call.inputs[0].dtype} to {call.outputs[0].dtype}")
        site = Site(
            call.layer,
            call.path,
            tuple(x.shape for x in call.inputs),
            tuple(x.shape for x in call.outputs),
            self.plan.read,
            call.args,
            call.kwargs,
        )
        if direction == "backward":
            return rule.backward(site, map_)
        return rule.forward(site, index, map_)

    def _commit(self, norm: Any, trace: _Trace, shows_at: list[Key], forward: bool) -> Skip | None:
        why = self._incomplete(norm, trace) or self._out_of_range(trace)
        if why is not None:
            return why
        plan, graph = self.plan, self.graph
        calls = list(graph.calls_of[norm])
        into = tuple(hits[0][0].path for hits in trace.taken.values())
        kinds = dict.fromkeys(rule_of(hits[0][0].layer).name for hits in trace.taken.values())  # type: ignore[union-attr]
        index = len(plan.folds)
        plan.folds.append(
            Fold(calls[0].path, into, f"{'before' if forward else 'after'} {' and '.join(kinds)}", shows_at)
        )
        for layer, hits in trace.taken.items():
            plan.edits[layer].append(hits[0][2])
        for value in trace.changed:
            plan.altered |= dict.fromkeys(value.keys, index)
        for call in calls:
            graph.bypass(call)
        plan.removed.add(norm)
        plan.edits.pop(norm, None)
        return None

    def _incomplete(self, norm: Any, trace: _Trace) -> Skip | None:
        """A layer takes a map in only if each of its call sites asks for the same one, once."""
        for layer, hits in trace.taken.items():
            calls = [call for call, _, _ in hits]
            name = calls[0].path
            if layer is norm:
                return Skip(f"{name!r} is applied again to its own output")
            if len(set(map(id, calls))) < len(calls):
                return Skip(f"{name!r} would have to take it in twice")
            if {id(c) for c in calls} != {id(c) for c in self.graph.calls_of[layer]}:
                return Skip(f"{name!r} is shared: it is also called where this norm does not follow or precede it")
            if not all(hits[0][1].same(map_) for _, map_, _ in hits[1:]):
                return Skip(f"{name!r} is shared, and its calls would need different weights")
        return None

    def _out_of_range(self, trace: _Trace) -> Skip | None:
        for layer, hits in trace.taken.items():
            absorb = hits[0][2]
            weights = absorb.update(self.plan.read(layer, absorb.weights))
            limit = min(LARGEST.get(dtype, np.inf) for dtype in (layer.variable_dtype, layer.compute_dtype))
            for name, array in weights.items():
                if array is not None and not np.all(np.abs(array) <= limit):
                    return Skip(f"the {name} of {hits[0][0].path!r} would overflow {layer.compute_dtype}")
        return None


def _kind(layer: Any) -> str:
    return "a conversion of its input" if isinstance(layer, Convert) else type(layer).__name__


def _is_embedding(layer: Any) -> bool:
    return isinstance(unwrapped(layer), keras.layers.Embedding)


def _norms_inside(layer: Any, prefix: str = "") -> Iterator[str]:
    for inner in layer._layers:
        if is_batch_norm(inner):
            yield f"{prefix}{inner.name}"
        else:
            yield from _norms_inside(inner, f"{prefix}{inner.name}/")


def _composite_reason(call: Call) -> str:
    name = call.path
    if functional(call.layer) is not None:
        return f"inside the model {name!r}, which is called with more than its inputs"
    if type(call.layer).__module__.startswith("keras."):
        return f"inside the layer {name!r} ({type(call.layer).__name__}), which is not opened"
    return f"inside the custom layer {name!r}, whose call is Python code"
