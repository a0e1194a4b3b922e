"""The models that other folding tools get wrong, one row each: what folds, what must stay, and equal outputs."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn, image, model, sequence

L = keras.layers
SQUARE = (8, 8, 3)


def conv(name="conv", filters=4, **kwargs):
    return L.Conv2D(filters, 3, name=name, **kwargs)


def also_an_output():
    x = image()
    y = conv()(x)
    return model(x, [y, L.ReLU()(bn()(y))])


def axis_that_looks_like_the_channels():
    x = keras.Input(SQUARE)
    return model(x, L.ReLU()(bn(axis=1)(L.Conv2D(8, 3, padding="same")(x))))


def in_training_mode():
    x = image()
    return model(x, L.ReLU()(bn()(conv()(x), training=True)))


def two_layers_one_norm():
    x, norm = image(), bn()
    return model(x, L.Maximum()([norm(conv("a")(x)), norm(conv("b")(x))]))


def one_layer_two_norms():
    x, shared = image(), conv()
    return model(x, L.Maximum()([bn("a")(shared(x)), bn("b")(shared(L.ReLU()(x)))]))


def nested():
    inner = keras.Sequential([image(), conv(), bn(), L.ReLU()], name="inner")
    x = image("top")
    return model(x, L.ReLU()(bn("outer")(conv("outside")(inner(x)))))


def one_that_fails_among_others():
    x = image()
    y = bn("a")(conv("first")(x))
    y = bn("stays")(L.ReLU()(y))
    return model(x, L.ReLU()(bn("b")(conv("last", padding="same")(L.ReLU()(y)))))


def channels_first(width):
    inputs = keras.Input((3, 6, width))
    norm = bn(axis=1)(L.Conv2D(5, 3, padding="same", data_format="channels_first", use_bias=False)(inputs))
    return model(inputs, L.ReLU()(norm))


def last_of_its_model():
    x = image()
    return model(x, bn("named")(conv()(x)))


def augmented(shape, *layers):
    return lambda: sequence(shape, *(layer() if callable(layer) else layer for layer in layers))


IMAGE = (8, 7, 3)
# The model, the norms that fold, the norms that stay with a part of the reason.
CASES = {
    "output between": (also_an_output, [], {"bn": "is also an output of the model"}),
    "axis 1, height equal to channels": (axis_that_looks_like_the_channels, [], {"bn": "channels on axis 3"}),
    "training=True": (in_training_mode, [], {"bn": "called with training=True"}),
    "norm, then same padding": (
        augmented(IMAGE, L.ReLU, bn, lambda: conv(padding="same")),
        [],
        {"bn": "pads its input with zeros"},
    ),
    "norm, then causal padding": (
        augmented((9, 3), L.ReLU, bn, lambda: L.Conv1D(4, 2, padding="causal")),
        [],
        {"bn": "pads its input with zeros"},
    ),
    "norm, then transposed with gaps": (
        augmented(IMAGE, L.ReLU, bn, lambda: L.Conv2DTranspose(4, 1, 2)),
        [],
        {"bn": "a kernel or stride above 1"},
    ),
    "own activation": (augmented(IMAGE, lambda: conv(activation="relu"), bn), [], {"bn": "its own activation 'relu'"}),
    "two layers, one norm": (two_layers_one_norm, ["bn"], {}),
    "one layer, two norms": (one_layer_two_norms, [], {"a": "'conv' is shared", "b": "'conv' is shared"}),
    "zero padding between": (augmented(IMAGE, conv, L.ZeroPadding2D, bn), [], {"bn": "pads with zeros"}),
    "no center": (augmented(IMAGE, conv, lambda: bn(center=False)), ["bn"], {}),
    "no scale": (augmented(IMAGE, conv, lambda: bn(scale=False)), ["bn"], {}),
    "depth multiplier": (augmented(IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=2), bn), ["bn"], {}),
    "groups": (augmented((8, 7, 4), lambda: conv(groups=2), bn, L.ReLU), ["bn"], {}),
    "dilated": (augmented(IMAGE, lambda: conv(dilation_rate=2, padding="same"), bn, L.ReLU), ["bn"], {}),
    "transposed": (augmented(IMAGE, lambda: L.Conv2DTranspose(5, 3, 2, padding="same"), bn), ["bn"], {}),
    "nested": (nested, ["inner/bn", "outer"], {}),
    "one of several fails": (one_that_fails_among_others, ["a", "b"], {"stays": "(ReLU) is not linear"}),
    "maximum, negative gamma": (augmented(IMAGE, conv, L.MaxPooling2D, bn, L.ReLU), [], {"bn": "gamma is negative"}),
    "relu between": (augmented(IMAGE, conv, L.ReLU, bn, L.ReLU), [], {"bn": "(ReLU) is not linear"}),
    "relu6 between": (augmented(IMAGE, conv, lambda: L.ReLU(6.0), bn, L.ReLU), [], {"bn": "(ReLU) is not linear"}),
    "pre-activation": (
        augmented(IMAGE, L.ReLU, bn, L.ReLU, conv),
        [],
        {"bn": "before it, 're_lu"},
    ),
    "norm after norm": (augmented(IMAGE, conv, lambda: bn("a"), lambda: bn("b"), L.ReLU), ["a", "b"], {}),
    "channels first": (lambda: channels_first(7), ["bn"], {}),
    "last layer": (last_of_its_model, ["named"], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_other_tools_get_wrong(case):
    make, folded, kept = CASES[case]
    if case == "channels first" and keras.backend.backend() == "torch":
        pytest.skip("as on the others")
    assert_folds(make(), folded, kept)


def test_a_channels_first_bias_that_keras_would_add_along_the_width():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a fault of Keras on TensorFlow")
    assert_folds(channels_first(5), [], {"bn": "Keras on TensorFlow may add a bias along the width"})


def test_a_shared_embedding():
    a, b = keras.Input((4,), dtype="int32", name="a"), keras.Input((4,), dtype="int32", name="b")
    shared = L.Embedding(5, 3, name="shared")
    m = model([a, b], L.Maximum()([L.ReLU()(bn()(shared(a))), shared(b)]))
    assert_folds(m, [], {"bn": "'shared' is shared"})


@pytest.mark.parametrize(
    "make", [lambda: conv(), lambda: L.EinsumDense("abcd,de->abce", (8, 7, 4))], ids=["conv", "einsum"]
)
def test_low_rank_adapters(make):
    m = sequence(IMAGE, make(), bn(), L.ReLU())
    m.layers[0].enable_lora(2)
    assert_folds(randomize(m), [], {"bn": "has LoRA weights"})


def test_a_zero_gamma_and_a_huge_one():
    m = sequence(IMAGE, conv(), bn(), L.ReLU())
    m.layers[1].gamma.assign(np.array([0.0, 1e6, -1e-6, 1.0]))
    assert_folds(m, ["bn"])
