"""Reading a model as one flat graph of calls."""

import keras
import numpy as np
import pytest
from fold_checks import state
from keras_norms.export.folding.call_graph import Graph
from keras_norms.export.model.creation_order import creation_order
from keras_norms.export.model.keras_graph import functional, nodes

L = keras.layers


def model():
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, name="dense"), L.ReLU(name="relu")], name="inner")
    shared = L.Dense(4, name="shared")
    a = inner(shared(x))
    b = inner(shared(a))
    return keras.Model(x, [L.Add(name="sum")([a, b]), a])


def test_nested_models_are_opened_at_every_call():
    graph = Graph(model())
    assert sorted(call.path for call in graph.calls) == sorted(
        ["shared", "inner/dense", "inner/relu", "shared", "inner/dense", "inner/relu", "sum"]
    )
    assert [len(calls) for calls in graph.calls_of.values()] == [2, 2, 2, 1]
    assert [v.producer.path for v in graph.outputs] == ["sum", "inner/relu"]


def test_who_else_sees_a_tensor():
    graph = Graph(model())
    first, second = (call for call in graph.calls if call.path == "inner/relu")
    (total,) = (call for call in graph.calls if call.path == "sum")
    relu = first.outputs[0]
    assert graph.another_use(relu, total) == "an output of the model"
    assert graph.visible_output(relu) == "an output of the model"
    # Where the nested model ends, its own output is nobody else's: the sum stands outside.
    assert graph.another_use(second.outputs[0], total) is None
    assert graph.visible_output(second.outputs[0]) is None
    dense = next(call for call in graph.calls if call.path == "inner/dense")
    assert graph.another_use(dense.inputs[0], dense) is None


def test_reading_changes_nothing():
    m = model()
    before = state(m)
    Graph(m)
    assert state(m) == before


def test_bypass_hands_the_input_on():
    graph = Graph(model())
    call = next(call for call in graph.calls if call.path == "inner/relu")
    source, consumers = call.inputs[0], list(call.outputs[0].consumers)
    graph.bypass(call)
    assert source.consumers == consumers
    assert all(source in consumer.inputs for consumer in consumers)
    assert graph.outputs[1] is not source
    assert ((), graph.name) in source.exposed


@pytest.mark.parametrize("build", [model, lambda: keras.Sequential([keras.Input((2,)), L.Dense(2), L.ReLU()])])
def test_creation_order_is_a_topological_order_of_all_calls(build):
    core = functional(build())
    order = creation_order(core)
    assert {id(n) for n in order} == {id(n) for n in nodes(core)}
    done = {id(x) for x in core._inputs}
    for node in order:
        assert all(id(x) in done for x in node.input_tensors)
        done |= {id(x) for x in node.outputs}
    for operation in core._operations:
        indices = [operation._inbound_nodes.index(n) for n in order if n.operation is operation]
        assert indices == sorted(indices)


class Witness(L.Layer):
    """Notes the training flag that it is run with."""

    def __init__(self, seen, **kwargs):
        super().__init__(**kwargs)
        self.note = seen.__setitem__

    def call(self, x, training=None):
        if not isinstance(x, keras.KerasTensor):
            self.note(self.name, bool(training))
        return x


class WitnessOn(Witness):
    def call(self, x, training=True):
        return super().call(x, training)


FLAGS = {
    "nothing": [("w", None), ("w", None)],
    "on": [("w", None), ("w", True), ("w", None)],
    "on_and_off": [("w", True), ("w", False), ("w", None)],
    "dropout_says_false": [("w", True), ("dropout", None), ("w", None)],
    "dropout_on": [("w", None), ("dropout", True), ("w", None)],
    "relu_hands_on": [("w", True), ("relu", None), ("w", None)],
    "default_true": [("w", None), ("on", None), ("w", None)],
    "nested": [("w", None), ("nested", None), ("w", None)],
    "nested_on": [("w", None), ("nested", True), ("w", None)],
    "nested_after_on": [("w", True), ("nested", None), ("w", None)],
    "nested_off_after_on": [("w", True), ("nested", False), ("w", None)],
    "nested_with_one_on": [("nested_with_one_on", None), ("w", None)],
    "nested_with_one_on_off": [("nested_with_one_on", False), ("w", None)],
}


@pytest.mark.parametrize("case", FLAGS)
def test_training_flags_spread_as_keras_spreads_them(case):
    seen = {}

    def make(kind, i):
        if kind.startswith("nested"):
            z = keras.Input((4,))
            y = Witness(seen, name=f"first{i}")(z, training=True if kind == "nested_with_one_on" else None)
            return keras.Model(z, Witness(seen, name=f"second{i}")(y), name=f"nested{i}")
        return {
            "w": lambda: Witness(seen, name=f"w{i}"),
            "on": lambda: WitnessOn(seen, name=f"w{i}"),
            "dropout": lambda: L.Dropout(0.5),
            "relu": L.ReLU,
        }[kind]()

    x = y = keras.Input((4,))
    for i, (kind, flag) in enumerate(FLAGS[case]):
        layer = make(kind, i)
        y = layer(y) if flag is None else layer(y, training=flag)
    m = keras.Model(x, y)
    seen.clear()
    m(np.zeros((2, 4), "float32"))
    flags = {c.layer.name: c.training for c in Graph(m).calls if isinstance(c.layer, Witness)}
    assert flags == seen
    assert all(bool(c.training_from) <= c.training for c in Graph(m).calls)
