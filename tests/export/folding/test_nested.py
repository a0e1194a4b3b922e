"""Models in models, and what crosses their borders."""

import keras
from fold_checks import assert_folds, randomize
from fold_models import IMAGE, bn, conv, encoder, image, model

L = keras.layers


def test_nested_functional_and_sequential():
    x = image("top")
    head = keras.Sequential([keras.Input((8, 7, 4)), conv("conv"), bn(), L.ReLU()], name="head")
    result, _ = assert_folds(model(x, head(encoder()(x))), ["encoder/inside", "encoder/bn", "head/bn"])
    assert [type(result.get_layer(n)) for n in ("encoder", "head")] == [type(result), keras.Sequential]
    assert result.get_layer("encoder").output_names == ["bn"]


def test_sequential_of_models():
    inner = keras.Sequential([image(), conv("conv"), bn()], name="inner")
    deep = keras.Sequential([keras.Input(IMAGE), inner, L.ReLU(), conv("conv"), bn()])
    assert_folds(randomize(deep), ["inner/bn", "bn"])


def test_a_nested_model_called_twice():
    a, b = image("a"), image("b")
    inner = encoder()
    assert_folds(model([a, b], L.Subtract()([inner(a), inner(b)])), ["encoder/inside", "encoder/bn"])


def test_a_norm_behind_a_nested_model():
    inner = keras.Sequential([image(), conv("conv")], name="inner")
    x = image("top")
    _, report = assert_folds(model(x, L.ReLU()(bn()(inner(x)))), ["bn"])
    assert report.folded[0].into == ("inner/conv",)


def test_a_norm_behind_one_of_two_calls_of_a_nested_model():
    inner = keras.Sequential([image(), conv("conv")], name="inner")
    a, b = image("a"), image("b")
    m = model([a, b], L.Subtract()([L.ReLU()(bn()(inner(a))), inner(b)]))
    assert_folds(m, [], {"bn": "'inner/conv' is shared"})


def test_a_nested_tap_that_is_used_inside_stays_what_it_is():
    x = image()
    y = conv("conv")(x)
    inner = keras.Model(x, [y, L.ReLU()(bn()(y))], name="inner")
    top = image("top")
    reason = "the output of 'inner/conv' is also an output of the model 'inner'"
    assert_folds(model(top, inner(top)[1]), [], {"inner/bn": reason})


def test_a_nested_model_that_converts_its_input():
    x = keras.Input((8, 7, 3), dtype="int32", name="bytes")
    inner = keras.Sequential([keras.Input((8, 7, 3)), L.Conv2D(3, 3), bn()], name="inner")
    assert_folds(model(x, inner(x)), ["inner/bn"])


def test_deep_nesting():
    m = keras.Sequential([image(), conv("conv", 3), bn()], name="level0")
    for level in range(1, 5):
        m = keras.Sequential([image(), m, conv("conv", 3), bn(), L.ReLU()], name=f"level{level}")
    _, report = assert_folds(randomize(m), list(_levels()))
    assert report.folded[0].norm.count("/") == 4


def _levels():
    path = ""
    yield "bn"
    for level in (3, 2, 1, 0):
        path += f"level{level}/"
        yield f"{path}bn"
