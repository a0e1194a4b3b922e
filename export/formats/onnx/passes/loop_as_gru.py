"""The loop that tf2onnx writes for a GRU of Keras 3, as the one operator.

tf2onnx looks for two biases that are inputs of the loop, and for Splits. Keras 3 has one bias of two rows, which it
takes apart inside of the loop, or none, and slices. With x of this step, h of the last, biases left out:

    z = sigmoid(x Wz + h Rz),  r = sigmoid(x Wr + h Rr),  h' = z h + (1 - z) activation(x Wh + c)
    c = r (h Rh)  with reset_after,  (r h) Rh  without
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from .ir_utils import graph_of, input_of, insert, made_by, new_constant, new_integers, replace, scalar
from .loop_body import Linear, LoopBody, behind, both_orders
from .pass_types import PassOptions, PassResult
from .skips import skip

_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh")


class _Gate(NamedTuple):
    """sigmoid(of_input + of_state)."""

    of_input: Linear
    of_state: Linear


class _Reset(NamedTuple):
    """c, and the gate r in it."""

    gate: _Gate
    h: Linear
    after: bool


class _Cell(NamedTuple):
    x: ir.Value
    inputs: list[Linear]  # z, r, h
    states: list[Linear]
    activation: str
    reset_after: bool


def loop_as_gru(model: ir.Model, _options: PassOptions) -> PassResult:
    """Put a GRU in the place of one loop that is one over all steps of a sequence.

    One at a time: behind it shapes become known that the next one asks for.
    """
    loops = [node for node in model.graph if node.op_type == "Loop"]
    return PassResult(changed=any(_rewrite(LoopBody(node)) for node in loops))


def _rewrite(loop: LoopBody) -> bool:
    used = {i for i, y in enumerate(loop.node.outputs) if y.uses() or y.is_graph_output()}
    for i, state in enumerate(loop.carried):
        cell = _cell(loop, loop.results[i], state)
        if cell is None:
            continue
        sequence = loop.sequence(cell.x)
        scans = {j for j in range(len(loop.carried), len(loop.results)) if loop.results[j] is loop.results[i]}
        if sequence is None:
            skip(loop.node, "the cell does not go through all steps of one sequence")
        elif not used <= {i, *scans}:
            skip(loop.node, "more than the state of the cell is used behind it")
        else:
            _write(loop.node, cell, sequence, i, sorted(used - {i}))
            return True
    skip(loop.node, "none of the values it carries is the state of a GRU")
    return False


def _write(node: ir.Node, cell: _Cell, sequence: ir.Value, i: int, scans: list[int]) -> None:
    graph, name = graph_of(node), str(node.name)

    def stacked(parts: list[Linear], what: str) -> ir.Value:
        return new_constant(graph, np.concatenate([part.kernel for part in parts], 1).T[None], f"{name}/{what}")

    biases = np.concatenate([part.bias for part in (*cell.inputs, *cell.states)])[None]
    zero = new_integers(graph, [0], f"{name}/axis")
    start = insert(node, "Unsqueeze", [node.inputs[i + 2], zero], f"{name}/state")
    weights = [stacked(cell.inputs, "W"), stacked(cell.states, "R"), new_constant(graph, biases, f"{name}/B")]
    gru = ir.node(
        "GRU",
        [sequence, *weights, None, start],
        {
            "hidden_size": cell.states[0].kernel.shape[0],
            "activations": ["Sigmoid", cell.activation],
            "linear_before_reset": int(cell.reset_after),
        },
        name=name,
        num_outputs=2,
    )
    for k, y in enumerate(gru.outputs):
        y.name, y.type = f"{name}/gru.{k}", sequence.type
    node.prepend(gru)
    replace(node.outputs[i], insert(node, "Squeeze", [gru.outputs[1], zero], f"{name}/last"))
    if scans:
        one = new_integers(graph, [1], f"{name}/direction")
        steps = insert(node, "Squeeze", [gru.outputs[0], one], f"{name}/steps")
        for j in scans:
            replace(node.outputs[j], steps)


# What the body computes


def _cell(loop: LoopBody, value: ir.Value, state: ir.Value) -> _Cell | None:
    """`value` = z state + (1 - z) activation(...)."""
    for kept, new in both_orders(value, "Add", "Mul", ("Mul",)):
        for gate, last in both_orders(kept, "Mul", "Sigmoid"):
            if last is not state:
                continue
            for inverse, candidate in both_orders(new, "Mul", "Sub", _ACTIVATIONS):
                minus, activation = inverse.producer(), candidate.producer()
                if minus is None or activation is None or scalar(minus.inputs[0]) != 1.0:
                    continue
                if behind(input_of(minus, 1)) is gate:
                    return _gates(loop, gate, activation, state)
    return None


def _gates(loop: LoopBody, gate: ir.Value, candidate: ir.Node, state: ir.Value) -> _Cell | None:
    update = _gate(loop, gate, state)
    for own, rest in both_orders(input_of(candidate, 0), "Add"):
        reset = _reset_after(loop, rest, state) or _reset_before(loop, rest, state)
        x = loop.linear(own)
        if reset is None or x is None or update is None:
            continue
        inputs = [update.of_input, reset.gate.of_input, x]
        states = [update.of_state, reset.gate.of_state, reset.h]
        if all(part.x is x.x for part in inputs) and x.x is not state:
            return _Cell(x.x, inputs, states, candidate.op_type, reset.after)
    return None


def _reset_after(loop: LoopBody, value: ir.Value, state: ir.Value) -> _Reset | None:
    """`value` = r (state Rh)."""
    for gate, product in both_orders(value, "Mul", "Sigmoid"):
        reset, h = _gate(loop, gate, state), loop.linear(product)
        if reset is not None and h is not None and h.x is state:
            return _Reset(reset, h, True)
    return None


def _reset_before(loop: LoopBody, value: ir.Value, state: ir.Value) -> _Reset | None:
    """`value` = (r state) Rh."""
    h = loop.linear(value)
    if h is None:
        return None
    for gate, last in both_orders(h.x, "Mul", "Sigmoid"):
        reset = _gate(loop, gate, state)
        if reset is not None and last is state:
            return _Reset(reset, h, False)
    return None


def _gate(loop: LoopBody, value: ir.Value, state: ir.Value) -> _Gate | None:
    node = made_by(value, "Sigmoid")
    for a, b in both_orders(input_of(node, 0), "Add") if node is not None else ():
        of_input, of_state = loop.linear(a), loop.linear(b)
        if of_input is not None and of_state is not None and of_state.x is state and of_input.x is not state:
            return _Gate(of_input, of_state)
    return None
