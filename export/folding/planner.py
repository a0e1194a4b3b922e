"""Decides which norms fold into which weights; touches no model.

Each norm is tried backward (into the layers that make its input), then forward (into the layers that use its output),
until nothing folds any more. A map may pass several calls on its way. It folds only if every layer that it reaches
takes it in, at every call site of that layer, and nothing else uses the tensors that it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..model.float16 import FLOAT16_LARGEST, FLOAT16_SMALLEST_NORMAL
from ..model.keras_graph import unwrapped
from ..options import Tails
from .affine import Affine, normalization
from .batch_norms import candidates
from .call_graph import Call, Graph, Key
from .plan import Fold, Plan
from .propagate import Trace, walk_back, walk_on
from .rules import BATCH_NORMS, TAILS, Skip, rule_of
from .rules.norm import channel_axes, tail_of, without_tail

LARGEST = {"float16": FLOAT16_LARGEST, "bfloat16": 3.38e38, "float32": 3.40e38, "float64": 1.79e308}


def search(graph: Graph, standalone: bool = False, tails: Tails = "all") -> Plan:
    """The plan that folds every batch norm of the graph that is exact to fold, and gamma and beta of those in `tails`.

    With `standalone`, those that are left and stand on channels-last images become 1x1 depthwise convolutions.
    """
    return _Search(graph).run(standalone, TAILS[tails])


class _Search:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.plan = Plan()

    def run(self, standalone: bool, tails: tuple[type, ...]) -> Plan:
        norms, self.plan.kept = candidates(self.graph)
        todo = dict.fromkeys(norms)
        while self._sweep(todo, self._backward) or self._sweep(todo, self._forward):
            pass
        for norm in todo:
            why = self._why(norm)
            if not (standalone and self._stands_alone(norm)):
                self.plan.kept.append((norms[norm], why))
        order = {call.path: i for i, call in enumerate(self.graph.calls)}
        self.plan.kept.sort(key=lambda record: order.get(record[0], len(order)))
        self._strip_tails(tails)
        return self.plan

    def _sweep(self, todo: dict[Any, None], direction: Callable[..., Skip | None]) -> bool:
        """Try every norm that is left in one direction; whether any folded."""
        done = []
        for norm in todo:
            maps = self._maps(norm)
            if not isinstance(maps, Skip) and direction(norm, maps) is None:
                done.append(norm)
        for norm in done:
            del todo[norm]
        return bool(done)

    def _why(self, norm: Any) -> str:
        """Why a norm stays. To be asked when nothing folds any more."""
        maps = self._maps(norm)
        if isinstance(maps, Skip):
            return maps.reason
        before, after = self._backward(norm, maps), self._forward(norm, maps)
        assert before is not None
        assert after is not None
        return f"before it, {before.reason}; after it, {after.reason}"

    def _stands_alone(self, norm: Any) -> bool:
        """Plan a norm as y = scale z + shift, a 1x1 depthwise convolution."""
        maps = self._maps(norm)
        if isinstance(maps, Skip):
            return False
        if any(call.layer is not norm or len(call.inputs[0].shape) != 4 or map_.axis != 3 for call, map_ in maps):
            return False
        path = maps[0][0].path
        shows_at = [key for call, _ in maps for key in call.outputs[0].keys]
        self.plan.folds.append(Fold(path, (path,), "standalone depthwise convolution", shows_at))
        self.plan.standalone[norm] = maps[0][1]
        return True

    # Gamma and beta of the norms that stay by nature

    def _strip_tails(self, kinds: tuple[type, ...]) -> None:
        """Move gamma and beta of layer, RMS, group and instance norms into the layers that follow them."""
        for norm in [n for n in self.graph.calls_of if type(n) in kinds]:
            calls = self.graph.calls_of[norm]
            rank = len(calls[0].outputs[0].shape) - int(calls[0].layer is not norm)
            axes, tail = channel_axes(norm, rank), tail_of(norm, rank, self.plan.read)
            if tail is None or len(axes) != 1 or any(unwrapped(call.layer) is not norm for call in calls):
                continue
            gamma, beta = tail
            trace = Trace()
            for call in calls:
                map_ = Affine(gamma, beta, axes[0] + int(call.layer is not norm))
                if walk_on(self.graph, self.plan, call.outputs[0], map_, call, trace) is not None:
                    break
            else:
                if np.all(np.isfinite([gamma, beta])) and self._take(norm, trace, _outputs(trace), "before") is None:
                    self.plan.tails.add(len(self.plan.folds) - 1)
                    self.plan.edits[norm].append(without_tail(norm))

    # What a norm computes

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
            map_ = normalization(w["gamma"], w["beta"], mean, variance, norm.epsilon, axis + shift)
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

    # The two directions

    def _backward(self, norm: Any, maps: list[tuple[Call, Affine]]) -> Skip | None:
        trace = Trace()
        for call, map_ in maps:
            why = walk_back(self.graph, self.plan, call.inputs[0], map_, call, trace)
            if why is not None:
                return why
        return self._commit(norm, trace, [key for call, _ in maps for key in call.outputs[0].keys], "after")

    def _forward(self, norm: Any, maps: list[tuple[Call, Affine]]) -> Skip | None:
        trace = Trace()
        for call, map_ in maps:
            why = walk_on(self.graph, self.plan, call.outputs[0], map_, call, trace)
            if why is not None:
                return why
        return self._commit(norm, trace, _outputs(trace), "before")

    def _commit(self, norm: Any, trace: Trace, shows_at: list[Key], where: str) -> Skip | None:
        why = self._take(norm, trace, shows_at, where)
        if why is not None:
            return why
        calls = list(self.graph.calls_of[norm])
        self.plan.folds[-1].saved = _elements(calls)
        for call in calls:
            self.graph.bypass(call)
        self.plan.removed.add(norm)
        self.plan.edits.pop(norm, None)
        return None

    def _take(self, norm: Any, trace: Trace, shows_at: list[Key], where: str) -> Skip | None:
        """Plan the new weights of the layers that take in the norm's map."""
        why = self._incomplete(norm, trace) or self._out_of_range(trace)
        if why is not None:
            return why
        into = tuple(hits[0][0].path for hits in trace.taken.values())
        rules = [rule_of(hits[0][0].layer) for hits in trace.taken.values()]
        kinds = dict.fromkeys(rule.name for rule in rules if rule is not None)
        index = len(self.plan.folds)
        path = self.graph.calls_of[norm][0].path
        self.plan.folds.append(Fold(path, into, f"{where} {' and '.join(kinds)}", shows_at))
        for layer, hits in trace.taken.items():
            self.plan.edits[layer].append(hits[0][2])
        for value in trace.changed:
            self.plan.altered |= dict.fromkeys(value.keys, index)
        return None

    def _incomplete(self, norm: Any, trace: Trace) -> Skip | None:
        """A layer takes a map in only if each of its call sites asks for the same one, once."""
        for layer, hits in trace.taken.items():
            calls = [call for call, _, _ in hits]
            name = calls[0].path
            if layer is norm:
                return Skip(f"{name!r} is applied again to its own output")
            if len(set(calls)) < len(calls):
                return Skip(f"{name!r} would have to take it in twice")
            if set(calls) != set(self.graph.calls_of[layer]):
                return Skip(f"{name!r} is shared: it is also called where this norm does not follow or precede it")
            _, first, absorb = hits[0]
            if not all(first.same(map_) and absorb.weights == other.weights for _, map_, other in hits[1:]):
                return Skip(f"{name!r} is shared, and its calls would need different weights")
        return None

    def _out_of_range(self, trace: Trace) -> Skip | None:
        for layer, hits in trace.taken.items():
            absorb = hits[0][2]
            weights = absorb.update(self.plan.read(layer, absorb.weights))
            limit = min(LARGEST.get(dtype, np.inf) for dtype in (layer.variable_dtype, layer.compute_dtype))
            for name, array in weights.items():
                if array is None:
                    continue
                largest = np.max(np.abs(array), initial=0.0)
                if not largest <= limit:
                    return Skip(f"the {name} of {hits[0][0].path!r} would overflow {layer.compute_dtype}")
                if limit == FLOAT16_LARGEST and 0.0 < largest < FLOAT16_SMALLEST_NORMAL:
                    return Skip(f"the {name} of {hits[0][0].path!r} would underflow float16")
        return None


def _elements(calls: list[Call]) -> int | None:
    """How many values of one sample the calls make; None if a size is free."""
    shapes = [call.outputs[0].shape[1:] for call in calls]
    return None if any(None in shape for shape in shapes) else sum(math.prod(n or 0 for n in shape) for shape in shapes)


def _outputs(trace: Trace) -> list[Key]:
    """The tensors behind the layers that take a map in."""
    calls = [call for hits in trace.taken.values() for call, _, _ in hits]
    return [key for call in calls for value in call.outputs for key in value.keys]
