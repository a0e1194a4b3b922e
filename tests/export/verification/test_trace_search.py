"""Which tensor stands for which layer's result, found among values that the tests make themselves."""

import keras
import numpy as np
import pytest
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.layer_names import scope_of_result
from keras_norms.export.report.layer_trace import LayerError
from keras_norms.export.verification.trace.call_errors import CallErrors
from keras_norms.export.verification.trace.laid_flat import value_of
from keras_norms.export.verification.trace.recorded import _graph, _recorded
from keras_norms.export.verification.trace.tensor_search import TensorSearch
from keras_norms.export.verification.trace.worst_drop import worst_drop

RNG = np.random.default_rng(0)


def chain():
    """A convolution, its activation, a dropout, a second convolution and a dense layer of one number."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, name="conv"),
            layers.ReLU(name="relu"),
            layers.Dropout(0.5, name="drop"),
            layers.Conv2D(6, 3, padding="same", name="second"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(1, name="one"),
        ]
    )


@pytest.fixture(scope="module")
def run():
    """The calls of the chain on two rows, and each layer's result."""
    model = chain()
    calls, _ = _recorded(ModelFacts.of(model), [RNG.normal(size=(2, 8, 8, 3)).astype("float32")])
    return calls, {call.layer: call.outputs[0] for call in calls if call.whole}


def noisy(y, db):
    """The numbers with noise of exactly so many decibels below them."""
    noise = RNG.normal(size=y.shape)
    return y + noise * np.sqrt(np.mean(np.square(y)) / np.mean(np.square(noise))) * 10 ** (-db / 20)


def errors(run, values, quantized=True, handed=None):
    """The errors of a file that holds `values`, which are (name, array) pairs."""
    graph = _graph([run[0]])
    layers = {call.layer for call in run[0]}
    results = [y for found in graph.results for y in found]
    search = TensorSearch.of([value_of(n, [x]) for n, x in values], results, layers, quantized=quantized)
    return CallErrors(graph, search, handed or {})


def found(run, values, layer, **kw):
    told = errors(run, values, **kw)
    i = next(i for i, call in enumerate(run[0]) if call.layer == layer)
    worst = told.worst(i)
    return (worst.tensor, round(worst.distance.sqnr_db)) if worst else told.why_not(i, {c.path for c in run[0]})


def test_what_was_merged_with_an_activation_is_the_activation(run):
    values = [("net/relu_1/Relu;net/conv_1/convolution", noisy(run[1]["relu"], 30))]
    assert found(run, values, "relu") == (values[0][0], 30)
    assert found(run, values, "conv") == "fused into 'relu'"
    assert found(run, values, "drop") == (values[0][0], 30), "a dropout gives what it takes"
    assert found(run, values, "second") == "in no tensor of the file"


def test_channels_may_come_first(run):
    values = [("net/relu_1/Relu.0", np.moveaxis(noisy(run[1]["relu"], 30), -1, 1))]
    assert found(run, values, "relu") == ("net/relu_1/Relu.0", 30)


def test_what_others_read_counts(run):
    """The result in 8 bits, and not what it was before it was rounded."""
    y = run[1]["relu"]
    values = [("net/relu_1/Relu.0", noisy(y, 40)), ("net/relu_1/Relu.0_DequantizeLinear_Output", noisy(y, 25))]
    assert found(run, values, "relu") == (values[1][0], 25)
    values = [("net/relu_1/Relu", noisy(y, 40)), ("tfl.quantize", noisy(y, 25))]
    assert found(run, values, "relu") == ("tfl.quantize", 25)


def test_a_result_that_is_wrong_is_found_by_its_name(run):
    wrong = [("net/second_1/convolution", noisy(-run[1]["second"], 40)), ("net/pool_1/Mean", -run[1]["pool"])]
    assert found(run, wrong, "second") == ("net/second_1/convolution", -6)
    nameless = [("a", wrong[0][1]), ("b", wrong[1][1])]
    assert found(run, nameless, "second") == "in no tensor of the file"


def test_what_a_layer_had_before_its_last_operation_was_merged_is_not_its_result(run):
    values = [("net/conv_1/mul", noisy(run[1]["conv"], 12)), ("net/relu_1/Relu;net/conv_1/add", run[1]["relu"])]
    assert found(run, values, "conv") == "fused into 'relu'"
    wrong = [("net/conv_1/mul", -run[1]["conv"]), ("net/relu_1/Relu;net/conv_1/add", noisy(-run[1]["relu"], 30))]
    assert found(run, wrong, "conv") == "fused into 'relu'", "its name does not help either"


def test_a_reshape_that_was_merged_changes_no_result(run):
    """The dropout gives what the activation does, whatever of the activation its name holds."""
    values = [("net/relu_1/Relu", noisy(run[1]["relu"], 30)), ("net/drop_1/Reshape;net/relu_1/Reshape", run[1]["relu"])]
    assert found(run, values, "relu") == ("net/relu_1/Relu", 30)


def test_of_several_tensors_none_is_the_result_where_what_follows_is_much_nearer(run):
    """The last operation may have been merged without a trace in the names."""
    inner = [("net/relu_1/a", noisy(run[1]["relu"], 12)), ("net/relu_1/b", noisy(run[1]["relu"], 10))]
    assert found(run, [*inner, ("net/second_1/x", noisy(run[1]["second"], 25))], "relu") == ("net/relu_1/b", 10)
    assert found(run, [*inner, ("net/second_1/x", noisy(run[1]["second"], 40))], "relu") == "fused into 'second'"


def test_what_follows_proves_a_layer_right_whose_result_is_missing(run):
    """A tensor of its name that is no result: its product without a bias, say."""
    values = [("net/second_1/convolution", run[1]["second"] + 3), ("net/pool_1/Mean", noisy(run[1]["pool"], 40))]
    assert found(run, values, "second") == "fused into 'pool'"


def test_in_a_float_file_nothing_that_is_far_counts_unless_it_is_wrong(run):
    values = [("net/second_1/x", noisy(run[1]["second"], 30)), ("net/pool_1/Mean", noisy(run[1]["pool"], 120))]
    assert found(run, values, "second", quantized=False) == "fused into 'pool'"
    values[1] = ("net/pool_1/Mean", noisy(run[1]["pool"], 20))
    assert found(run, values, "second", quantized=False) == ("net/second_1/x", 30)


def test_few_numbers_are_not_found_by_chance(run):
    values = [("net/other", run[1]["one"] * 1.1)]
    assert found(run, values, "one") == "in no tensor of the file"
    assert found(run, [("net/one_1/BiasAdd", run[1]["one"] * 1.1)], "one")[1] == 20
    graph = _graph([run[0]])
    handed = {graph.results[-1][0].key: "net/other"}
    assert found(run, values, "one", handed=handed) == ("net/other", 20)


def test_no_tensor_of_another_layer_is_taken_for_a_result_that_is_not_alike(run):
    values = [("net/relu_1/Relu", noisy(run[1]["conv"], 12))]
    assert found(run, values, "conv") == "fused into 'relu'"


def test_before_is_what_a_layer_takes(run):
    values = [("net/relu_1/Relu", noisy(run[1]["relu"], 30)), ("net/second_1/c", noisy(run[1]["second"], 20))]
    told = errors(run, values)
    before = {call.layer: told.before(i) for i, call in enumerate(run[0])}
    assert before["conv"] == before["relu"] == np.inf
    assert before["second"] == pytest.approx(30)
    assert before["pool"] == pytest.approx(20)
    assert before["one"] == pytest.approx(20), "the pooling is in no tensor: what it takes"


NAMES = [
    ("net/relu_1/Relu;net/conv_1/convolution", ("relu", "net/relu_1")),
    ("net/conv2d_1/convolution", ("conv2d", "net/conv2d_1")),
    ("net/conv2d_1_2/convolution.0", ("conv2d_1", "net/conv2d_1_2")),
    ("net/conv_1_DequantizeLinear_Output", None),
    ("tfl.quantize", None),
    ("conv", None),
]


@pytest.mark.parametrize(("name", "told"), NAMES)
def test_the_layer_in_a_tensors_name(name, told):
    assert scope_of_result(name, {"conv", "relu", "conv2d", "conv2d_1"}) == told


DROPS = [
    ("none where all is exact", [(None, 140.0), (140.0, 120.0)], None),
    ("the largest", [(None, 40.0), (40.0, 38.0), (38.0, 12.0), (12.0, 10.0)], 2),
    ("not the first from exact to plenty", [(None, 45.0), (45.0, 20.0), (20.0, 19.0)], 1),
    ("the first where nothing else loses", [(None, 40.0), (40.0, 40.0)], 0),
    ("none that is in no tensor", [(None, None), (40.0, 30.0)], 1),
    ("none of no layers", [], None),
]


@pytest.mark.parametrize(("_why", "ratios", "worst"), DROPS)
def test_the_worst_drop(_why, ratios, worst):
    layers = [LayerError(f"layer_{i}", "Dense", sqnr_db=y, before_db=x) for i, (x, y) in enumerate(ratios)]
    assert worst_drop(layers) == worst
