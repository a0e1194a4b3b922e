"""Keras' private attributes: each that we rely on has the meaning we need, and one module alone reads them."""

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_norms.export.model import keras_graph
from keras_norms.export.model.projections import projections_of

EXPORT = Path(__file__).parents[3] / "export"
L = keras.layers


class Block(L.Layer):
    """A layer that holds a layer and a weight of its own."""

    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)
        self.gain = self.add_weight(shape=(), name="gain")
        self.count = self.add_weight(shape=(), name="count", trainable=False)

    def call(self, x):
        return self.dense(x) * self.gain


def functional():
    """(the model, its inputs by name, its layers by name): two inputs in a dict, one layer called twice."""
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    twice, block = L.Dense(3, name="twice"), Block()
    first = twice(a)
    outputs = {"sum": block(L.add([first, twice(b)]))}
    return keras.Model({"a": a, "b": b}, outputs), (a, b), (twice, block), first


def functional_behind_sequential():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    return isinstance(model._functional, keras.Model) and [x.shape for x in model._functional.inputs] == [(None, 3)]


def flatten_layers():
    model, _, (twice, block), _ = functional()
    below = model._flatten_layers(include_self=False)
    return model._flatten_layers() == [model, *below] and {twice, block, block.dense} <= set(below)


def layers():
    model, _, (_, block), _ = functional()
    sequential = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    return (
        block._layers == [block.dense]
        and model._layers == model.layers
        and isinstance(sequential._layers[0], L.InputLayer)
    )


def trainable_variables():
    block = functional()[2][1]
    return [w is block.gain for w in block._trainable_variables] == [True]


def non_trainable_variables():
    block = functional()[2][1]
    return [w is block.count for w in block._non_trainable_variables] == [True]


def call_context_args():
    return "training" in L.Dense(1)._call_context_args


def call_has_mask_arg():
    return [layer(1)._call_has_mask_arg for layer in (L.LSTM, L.Dense)] == [True, False]


def call_has_training_arg():
    return [layer._call_has_training_arg for layer in (L.LSTM(1), L.Flatten())] == [True, False]


def convert_input_args():
    return L.Dense(1)._convert_input_args is True


def output_shape():
    return L.Lambda(lambda x: x, output_shape=(5,))._output_shape == (5,)


def default_value():
    layers = (L.IntegerLookup(vocabulary=[5]), L.IntegerLookup(vocabulary=[5], oov_token=-7, invert=True))
    return [layer._default_value for layer in layers] == [0, -7]


def inputs():
    model, (a, b), _, _ = functional()
    return [x is y for x, y in zip(model._inputs, (a, b), strict=True)] == [True, True]


def outputs():
    model, _, (_, block), _ = functional()
    return [x._keras_history.operation for x in model._outputs] == [block]


def inputs_struct():
    model, (a, b), _, _ = functional()
    return (
        list(model._inputs_struct) == ["a", "b"] and model._inputs_struct["b"] is b and a is model._inputs_struct["a"]
    )


def outputs_struct():
    model = functional()[0]
    return list(model._outputs_struct) == ["sum"] and model._outputs_struct["sum"] is model._outputs[0]


def convert_inputs_to_tensors():
    model = functional()[0]
    wide = [keras.ops.ones([1, *x.shape[1:]], "float64") for x in model._inputs]
    narrowed = [keras.backend.standardize_dtype(x.dtype) for x in model._convert_inputs_to_tensors(wide)]
    with keras_graph.inputs_as_they_come():
        kept = [keras.backend.standardize_dtype(x.dtype) for x in model._convert_inputs_to_tensors(wide)]
    return {*narrowed} == {"float32"} and {*kept} == {"float64"}


def nodes_by_depth():
    model, _, (twice, block), _ = functional()
    ordered = [node.operation for depth in sorted(model._nodes_by_depth) for node in model._nodes_by_depth[depth]]
    inputs_last = all(node.is_input for node in model._nodes_by_depth[max(model._nodes_by_depth)])
    return ordered[0] is block and ordered.count(twice) == 2 and inputs_last


def standardize_inputs():
    model = functional()[0]
    flat = model._standardize_inputs({"a": np.ones((2, 3), "int32"), "b": np.ones((2, 3), "float32")})
    column = keras.Model(x := keras.Input((1,)), L.Flatten()(x))
    return [x.dtype for x in flat] == ["float32"] * 2 and column._standardize_inputs(np.ones(2))[0].shape == (2, 1)


def keras_history():
    _, (a, _), (twice, _), first = functional()
    operation, call, output = first._keras_history
    return operation is twice and (call, output) == (0, 0) and isinstance(a._keras_history.operation, L.InputLayer)


def inbound_nodes():
    _, (a, b), (twice, _), first = functional()
    one, two = twice._inbound_nodes
    taken = one.input_tensors == [a] and two.arguments.args[0] is b and one.outputs[0] is first
    return taken and type(twice._inbound_nodes) is not tuple


def outbound_nodes():
    _, (a, _), (twice, _), _ = functional()
    unused = keras.Input((3,))._keras_history.operation
    taken = [node.operation for node in a._keras_history.operation._outbound_nodes]
    return taken == [twice] and not unused._outbound_nodes


def attention(kind):
    x = keras.Input((4, 6))
    layer = L.MultiHeadAttention(2, 4) if kind == "heads" else L.GroupQueryAttention(4, 4, 2)
    layer(x, x)
    return layer


def compute_attention():
    return all(callable(type(attention(kind))._compute_attention) for kind in ("heads", "groups"))


def inverse_sqrt_key_dim():
    return _is_what_scores_are_multiplied_by(attention("heads"), "_inverse_sqrt_key_dim")


def inverse_sqrt_head_dim():
    return _is_what_scores_are_multiplied_by(attention("groups"), "_inverse_sqrt_head_dim")


def _is_what_scores_are_multiplied_by(layer, name):
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    before, query = keras.ops.convert_to_numpy(layer(x, x)), projections_of(layer)["query"]
    query.kernel.assign(query.kernel * getattr(layer, name))
    with keras_graph.scores_scaled_by(layer, 1.0):
        after = keras.ops.convert_to_numpy(layer(x, x))
    return getattr(layer, name) == keras_graph.scale_of_scores(layer) == 0.5 and np.allclose(before, after, atol=1e-6)


def keras_mask():
    x = keras.ops.ones((1, 2))
    masked = L.Embedding(3, 2, mask_zero=True)(keras.Input((4,), dtype="int32"))
    x._keras_mask = keras.ops.ones((1,), "bool")
    return masked._keras_mask.shape == (None, 4) and L.Dropout(0.5)(x)._keras_mask is x._keras_mask


def maybe_build():
    layer, seen = L.Dense(1), []
    object.__setattr__(layer, "_maybe_build", seen.append)
    with pytest.raises(AttributeError):  # no kernel
        layer(np.ones((1, 2), "float32"))
    return len(seen) == 1 and not layer.built


def object_name_uids():
    with keras_graph.automatic_names_apart():
        names = [L.Dense(1).name, L.Dense(1).name]
    before = int(L.Dense(1).name.partition("dense")[2].strip("_") or 0)
    with keras_graph.automatic_names_apart():
        L.Dense(1)
    return names == ["dense", "dense_1"] and L.Dense(1).name == f"dense_{before + 1}"


# Each name, and what must hold of it.
PRIVATE = {
    "_functional": functional_behind_sequential,
    "_flatten_layers": flatten_layers,
    "_layers": layers,
    "_trainable_variables": trainable_variables,
    "_non_trainable_variables": non_trainable_variables,
    "_call_context_args": call_context_args,
    "_call_has_mask_arg": call_has_mask_arg,
    "_call_has_training_arg": call_has_training_arg,
    "_convert_input_args": convert_input_args,
    "_output_shape": output_shape,
    "_default_value": default_value,
    "_inputs": inputs,
    "_outputs": outputs,
    "_inputs_struct": inputs_struct,
    "_outputs_struct": outputs_struct,
    "_convert_inputs_to_tensors": convert_inputs_to_tensors,
    "_nodes_by_depth": nodes_by_depth,
    "_standardize_inputs": standardize_inputs,
    "_keras_history": keras_history,
    "_inbound_nodes": inbound_nodes,
    "_outbound_nodes": outbound_nodes,
    "_keras_mask": keras_mask,
    "_compute_attention": compute_attention,
    "_inverse_sqrt_key_dim": inverse_sqrt_key_dim,
    "_inverse_sqrt_head_dim": inverse_sqrt_head_dim,
    "_maybe_build": maybe_build,
    "object_name_uids": object_name_uids,
}

BY_NAME = ("getattr", "hasattr", "setattr", "delattr", "attrgetter", "__getattribute__", "__setattr__", "__delattr__")


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


@pytest.fixture(scope="module")
def names_in_keras():
    """Every private name that Keras' own code gives to an attribute or method."""
    defined = re.compile(r"(?:\bself\.|\bdef |, \"|^ *\")(_[a-z]\w*)", re.MULTILINE)
    files = (Path(keras.__file__).parent / "src").rglob("*.py")
    return {name for file in files for name in defined.findall(file.read_text())}


def private_names(text):
    """Attributes with a private name, of anything but self, cls and super(), and those that are read by their name."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value
            own = isinstance(owner, ast.Name) and owner.id in ("self", "cls", "super")
            found |= set() if own else {node.attr}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in BY_NAME:
            strings = [x.value for x in node.args if isinstance(x, ast.Constant) and isinstance(x.value, str)]
            found |= {text for text in strings if is_private(text)}
    return found


@pytest.mark.parametrize("name", PRIVATE)
def test_keras_has_the_private_attribute_with_the_meaning_we_need(name):
    assert PRIVATE[name]()


def test_every_private_attribute_that_we_read_has_a_row():
    read = private_names((EXPORT / "model/keras_graph.py").read_text())
    assert read == {name for name in PRIVATE if is_private(name)}


@pytest.mark.parametrize("kind", ["heads", "groups"])
def test_the_projections_of_attention_have_the_names_we_need(kind):
    assert list(projections_of(attention(kind))) == ["query", "key", "value", "attention_output"]


def test_the_private_names_of_keras_are_known(names_in_keras):
    assert names_in_keras >= {name for name in PRIVATE if is_private(name)}


@pytest.mark.parametrize("path", sorted(EXPORT.rglob("*.py")), ids=lambda path: path.relative_to(EXPORT).as_posix())
def test_private_attributes_of_keras_are_read_in_one_module_alone(path, names_in_keras):
    if path != EXPORT / "model/keras_graph.py":
        assert not private_names(path.read_text()) & names_in_keras


@pytest.mark.parametrize(
    "text",
    ["model._layers", "getattr(model, '_layers')", "object.__setattr__(model, '_layers', [])", "self.model._layers"],
)
def test_a_private_attribute_is_found_however_it_is_read(text):
    assert private_names(text) == {"_layers"}


def test_the_graph_behind_a_model_is_its_own_where_its_call_is_keras_own():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    x = keras.Input((3,))
    model = keras.Model(x, L.Dense(2)(x))
    assert keras_graph.functional(model) is model
    assert keras_graph.functional(Own(x, x)) is None
    assert keras_graph.functional(L.Dense(2)) is None
    assert keras_graph.functional(keras.Sequential([L.Dense(2)])) is None
