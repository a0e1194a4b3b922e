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

from .ir_utils import attribute, constant, insert, made_by, new_constant, replace, scalar, static

_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh")


class _Linear(NamedTuple):
    """x kernel + bias."""

    x: ir.Value
    kernel: np.ndarray
    bias: np.ndarray


class _Cell(NamedTuple):
    x: ir.Value
    inputs: list[_Linear]  # z, r, h
    states: list[_Linear]
    activation: str
    reset_after: bool


def loop_as_gru(graph: ir.Graph) -> bool:
    """Put a GRU in the place of one loop that is one over all steps of a sequence; returns whether there was any.

    One at a time: behind it shapes become known that the next one asks for.
    """
    return any(_Loop(node).rewrite() for node in list(graph) if node.op_type == "Loop")


class _Loop:
    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.body: ir.Graph = node.attributes["body"].value  # type: ignore[assignment]
        _take_apart(self.body)
        self.carried = list(self.body.inputs)[2:]
        self.results = [_behind(value) for value in list(self.body.outputs)[1:]]  # of the carried, then scans

    def rewrite(self) -> bool:
        used = {i for i, y in enumerate(self.node.outputs) if y.uses() or y.is_graph_output()}
        for i, state in enumerate(self.carried):
            cell = self._cell(self.results[i], state)
            sequence = self._sequence(cell.x) if cell is not None else None
            scans = {j for j in range(len(self.carried), len(self.results)) if self.results[j] is self.results[i]}
            if cell is not None and sequence is not None and used <= {i, *scans}:
                self._write(cell, sequence, i, sorted(used - {i}))
                return True
        return False

    def _write(self, cell: _Cell, sequence: ir.Value, i: int, scans: list[int]) -> None:
        node, graph, name = self.node, self.node.graph, str(self.node.name)
        assert graph is not None
        number = lambda array, what: new_constant(graph, np.asarray(array), f"{name}/{what}")  # noqa: E731
        stacked = lambda parts: np.concatenate([part.kernel for part in parts], 1).T[None]  # noqa: E731
        biases = np.concatenate([part.bias for part in (*cell.inputs, *cell.states)])[None]
        zero = number(np.array([0], np.int64), "axis")
        start = insert(node, "Unsqueeze", [self.node.inputs[i + 2], zero], f"{name}/state")
        inputs = [sequence, number(stacked(cell.inputs), "W"), number(stacked(cell.states), "R"), number(biases, "B")]
        gru = ir.node(
            "GRU",
            [*inputs, None, start],
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
            one = number(np.array([1], np.int64), "direction")
            steps = insert(node, "Squeeze", [gru.outputs[0], one], f"{name}/steps")
            for j in scans:
                replace(node.outputs[j], steps)

    # What the body computes

    def _cell(self, value: ir.Value, state: ir.Value) -> _Cell | None:
        for kept, new in _both(value, "Add", "Mul", "Mul"):
            for gate, last in _both(kept, "Mul", "Sigmoid"):
                if last is not state:
                    continue
                for inverse, candidate in _both(new, "Mul", "Sub", *_ACTIVATIONS):
                    minus = inverse.producer()
                    if minus is not None and scalar(minus.inputs[0]) == 1.0 and _behind(minus.inputs[1]) is gate:
                        return self._gates(gate, candidate.producer(), state)  # type: ignore[arg-type]
        return None

    def _gates(self, gate: ir.Value, candidate: ir.Node, state: ir.Value) -> _Cell | None:
        update = self._gate(gate, state)
        for own, rest in _both(_behind(candidate.inputs[0]), "Add"):
            found = self._after(rest, state) or self._before(rest, state)
            x = self._linear(own)
            if found is None or x is None or update is None:
                continue
            reset, h, reset_after = found
            inputs, states = [update[0], reset[0], x], [update[1], reset[1], h]
            if all(part.x is x.x for part in inputs) and x.x is not state:
                return _Cell(x.x, inputs, states, candidate.op_type, reset_after)
        return None

    def _after(self, value: ir.Value, state: ir.Value) -> tuple[tuple[_Linear, _Linear], _Linear, bool] | None:
        for gate, product in _both(value, "Mul", "Sigmoid"):
            reset, h = self._gate(gate, state), self._linear(product)
            if reset is not None and h is not None and h.x is state:
                return reset, h, True
        return None

    def _before(self, value: ir.Value, state: ir.Value) -> tuple[tuple[_Linear, _Linear], _Linear, bool] | None:
        h = self._linear(value)
        for gate, last in _both(h.x, "Mul", "Sigmoid") if h is not None else ():
            reset = self._gate(gate, state)
            if reset is not None and last is state:
                return reset, h, False  # type: ignore[return-value]
        return None

    def _gate(self, value: ir.Value, state: ir.Value) -> tuple[_Linear, _Linear] | None:
        """(the part of the input, the part of the state) of a sigmoid."""
        node = made_by(value, "Sigmoid")
        for a, b in _both(_behind(node.inputs[0]), "Add") if node is not None else ():
            of_input, of_state = self._linear(a), self._linear(b)
            if of_input is not None and of_state is not None and of_state.x is state and of_input.x is not state:
                return of_input, of_state
        return None

    def _linear(self, value: ir.Value) -> _Linear | None:
        node = _behind(value).producer()
        if node is None:
            return None
        if node.op_type == "MatMul":
            kernel = self._fixed(node.inputs[1])
            found = kernel is not None and kernel.ndim == 2
            return _Linear(_behind(node.inputs[0]), kernel, np.zeros(kernel.shape[1], kernel.dtype)) if found else None  # type: ignore[union-attr,arg-type]
        if node.op_type == "Add":
            for a, b in ((0, 1), (1, 0)):
                part, bias = self._linear(node.inputs[a]), self._fixed(node.inputs[b])  # type: ignore[arg-type]
                if part is not None and bias is not None and bias.size == part.bias.size:
                    return part._replace(bias=part.bias + bias.reshape(-1))
        if node.op_type in ("Slice", "Split"):
            part = self._linear(node.inputs[0])  # type: ignore[arg-type]
            kernel = _piece(node, value, part.kernel) if part is not None else None
            bias = _piece(node, value, part.bias[None]) if part is not None else None
            if kernel is not None and bias is not None and len(kernel) == len(part.kernel) and len(bias) == 1:  # type: ignore[union-attr]
                return _Linear(part.x, kernel, bias[0])  # type: ignore[union-attr]
        return None

    def _fixed(self, value: ir.Value | None) -> np.ndarray | None:
        """The array of what is the same in every step."""
        if value is None:
            return None
        value = self._outside(_behind(value))
        node = value.producer()
        if node is None or constant(value) is not None:
            return constant(value)
        if node.op_type not in ("Slice", "Split", "Squeeze"):
            return None
        array = self._fixed(node.inputs[0])
        if array is None or node.op_type == "Squeeze":  # of a bias: its sizes of 1 do not matter
            return array
        return _piece(node, value, array)

    def _outside(self, value: ir.Value) -> ir.Value:
        """What an input of the body that stays as it is comes from; another value is itself."""
        for i, carried in enumerate(self.carried):
            if value is carried and self.results[i] is carried:
                return self.node.inputs[i + 2]  # type: ignore[return-value]
        return value

    def _sequence(self, x: ir.Value) -> ir.Value | None:
        """The tensor of which step after step is `x`, if the loop goes through all of it."""
        gather = made_by(x, "Gather")
        if gather is None or attribute(gather, "axis", 0) != 0:
            return None
        index, sequence = _behind(gather.inputs[1]), self._outside(_behind(gather.inputs[0]))  # type: ignore[arg-type]
        if not any(index is carried for carried in self.carried) or sequence.graph is self.body:
            return None
        i = next(i for i, carried in enumerate(self.carried) if carried is index)
        following = made_by(self.results[i], "Add")
        one = [scalar(v) for v in following.inputs if _behind(v) is not index] if following is not None else []  # type: ignore[arg-type]
        if one != [1.0] or scalar(self.node.inputs[i + 2]) != 0.0:
            return None
        steps = (static(sequence) or (None,))[0]
        limits = [scalar(node.inputs[1]) for node in self.body if node.op_type == "Less"]
        return sequence if limits and all(limit is None or limit == steps for limit in limits) else None


def _take_apart(body: ir.Graph) -> None:
    """Gemm is MatMul and Add; where the batch is known, tf2onnx writes it even for the sum of two products."""
    for node in [node for node in body if node.op_type == "Gemm" and len(node.inputs) == 3]:
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        if all(attribute(node, name, value) == value for name, value in plain.items()):
            shape = node.outputs[0].shape
            product = insert(node, "MatMul", node.inputs[:2], f"{node.name}/MatMul", shape)
            replace(node.outputs[0], insert(node, "Add", [product, node.inputs[2]], f"{node.name}/Add", shape))
            body.remove(node, safe=True)


def _behind(value: ir.Value | None) -> ir.Value:
    """`value` without the identities that pass it on."""
    while (node := made_by(value, "Identity")) is not None:
        value = node.inputs[0]
    return value  # type: ignore[return-value]


def _both(value: ir.Value, op_type: str, first: str | None = None, *second: str) -> list[tuple[ir.Value, ir.Value]]:
    """The operands of a commutative operation in either order, as far as they come from the operations named."""
    node = made_by(_behind(value), op_type)
    if node is None:
        return []
    a, b = _behind(node.inputs[0]), _behind(node.inputs[1])
    fits = lambda v, kinds: not kinds or made_by(v, *kinds) is not None  # noqa: E731
    return [(p, q) for p, q in ((a, b), (b, a)) if fits(p, (first,) if first else ()) and fits(q, second)]


def _piece(node: ir.Node, value: ir.Value, array: np.ndarray) -> np.ndarray | None:
    """What a Slice or an even Split makes of `array`."""
    if node.op_type == "Split":
        axis, parts = attribute(node, "axis", 0) % array.ndim, len(node.outputs)
        sizes = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
        if array.shape[axis] % parts or (sizes is not None and len({*sizes.tolist()}) > 1):
            return None
        return np.split(array, parts, axis)[[y is _behind(value) for y in node.outputs].index(True)]
    given = [constant(v) for v in node.inputs[1:]]
    if any(v is None for v in given):
        return None
    starts, ends = (v.reshape(-1).tolist() for v in given[:2])  # type: ignore[union-attr]
    axes = given[2].reshape(-1).tolist() if len(given) > 2 else range(len(starts))  # type: ignore[union-attr]
    if len(given) > 3 and (given[3] != 1).any():  # type: ignore[union-attr]
        return None
    for axis, start, end in zip(axes, starts, ends, strict=True):
        array = array[(slice(None),) * (axis % array.ndim) + (slice(start, end),)]
    return array
