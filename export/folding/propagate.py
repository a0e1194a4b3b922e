"""Follows a per-channel affine map through a graph until layers take it in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import tree

from ..model.keras_graph import takes_training, unwrapped
from .affine import Affine
from .call_graph import Call, Convert, Graph, Value
from .plan import Plan
from .rules import Absorb, Pass, Rule, Site, Skip, rule_of


@dataclass
class Trace:
    """What was found on the way through the graph: the layers that take the map in, and the tensors that change."""

    taken: dict[Any, list[tuple[Call, Affine, Absorb]]] = field(default_factory=lambda: defaultdict(list))
    changed: list[Value] = field(default_factory=list)


def walk_back(graph: Graph, plan: Plan, value: Value, map_: Affine, user: Call, trace: Trace) -> Skip | None:
    """Let the layers that make `value` for `user` make A(value) instead; return the reason if they cannot."""
    todo = [(value, map_, user)]
    while todo:
        value, map_, user = todo.pop()
        call = value.producer
        if call is None:
            return Skip("its input is an input of the model")
        use = graph.another_use(value, user)
        if use is not None:
            return Skip(f"the output of {call.path!r} is also {use}")
        trace.changed.append(value)
        answer = _backward(plan, call, map_)
        if isinstance(answer, Skip):
            return answer
        if isinstance(answer, Absorb):
            trace.taken[unwrapped(call.layer)].append((call, map_, answer))
        else:
            todo += [(call.inputs[index], onward, call) for index, onward in reversed(answer.onward)]
    return None


def walk_on(graph: Graph, plan: Plan, value: Value, map_: Affine, source: Call, trace: Trace) -> Skip | None:
    """Let the layers that take `value`, which is now z instead of A(z), compute as before; return the reason if they
    cannot."""
    todo = [(value, map_, source)]
    while todo:
        value, map_, source = todo.pop()
        use = graph.visible_output(value)
        if use is not None:
            return Skip(f"the output of {source.path!r} is {use}")
        if not value.consumers:
            return Skip(f"the output of {source.path!r} is not used")
        trace.changed.append(value)
        for call in value.consumers:
            places = [i for i, x in enumerate(call.inputs) if x is value]
            rule = rule_of(call.layer)
            if len(places) > 1 and not (rule is not None and rule.several):
                return Skip(f"{call.path!r} uses the output of {source.path!r} twice")
            answer = _forward(plan, call, places, map_)
            if isinstance(answer, Skip):
                return answer
            if isinstance(answer, Absorb):
                trace.taken[unwrapped(call.layer)].append((call, map_, answer))
            else:
                todo += [(call.outputs[index], onward, call) for index, onward in answer.onward]
    return None


def _backward(plan: Plan, call: Call, map_: Affine) -> Absorb | Pass | Skip:
    found = _rule_and_site(plan, call)
    if isinstance(found, Skip):
        return found
    rule, site = found
    answer = rule.backward(site, map_)
    if isinstance(answer, Pass) and any(x.dtype != call.outputs[0].dtype for x in call.inputs):
        return Skip(f"{call.path!r} also casts from {call.inputs[0].dtype} to {call.outputs[0].dtype}")
    return answer


def _forward(plan: Plan, call: Call, places: list[int], map_: Affine) -> Absorb | Pass | Skip:
    found = _rule_and_site(plan, call, places)
    if isinstance(found, Skip):
        return found
    index = places[0]
    if call.inputs[index].dtype != call.outputs[0].dtype:
        return Skip(f"{call.path!r} also casts from {call.inputs[index].dtype} to {call.outputs[0].dtype}")
    rule, site = found
    return rule.forward(site, map_)


def _rule_and_site(plan: Plan, call: Call, places: Sequence[int] = (0,)) -> tuple[Rule, Site] | Skip:
    """The rule for a call, and the call as a rule may see it; the reason if no rule applies to it."""
    rule = rule_of(call.layer)
    if rule is None:
        kind = "a conversion of its input" if isinstance(call.layer, Convert) else type(call.layer).__name__
        return Skip(f"{call.path!r} ({kind}) is not linear, or not known to be")
    if call.training and takes_training(call.layer):
        return Skip(f"{call.path!r} runs in training mode (training=True)")
    if not rule.keywords and any(isinstance(x, Value) for x in tree.flatten(call.kwargs)):
        return Skip(f"{call.path!r} is called with keyword tensors")
    site = Site(
        layer=call.layer,
        name=call.path,
        inputs=tuple(v.shape for v in call.inputs),
        outputs=tuple(v.shape for v in call.outputs),
        index=places[0],
        value=call.inputs[places[0]],
        places=len(places),
        args=call.args,
        kwargs=call.kwargs,
        config=plan.config,
    )
    return rule, site
