"""Who else sees the tensor between a norm and its layer: other users, other outputs, shared layers."""

import keras
from fold_checks import assert_folds
from fold_models import bn, conv, image, model

L = keras.layers


def test_a_convolution_that_is_also_an_output():
    x = image()
    y = conv("conv_3")(x)
    assert_folds(model(x, [y, L.ReLU()(bn()(y))]), [], {"bn": "the output of 'conv_3' is also an output of the model"})


def test_a_convolution_with_another_user():
    x = image()
    y = conv("conv")(x)
    z = L.ReLU(name="after")(bn()(y))
    assert_folds(model(x, L.Add(name="sum")([y, z])), [], {"bn": "the output of 'conv' is also used by 'sum'"})


def test_a_convolution_with_two_norms():
    x = image()
    y = conv("conv")(x)
    z = L.Multiply()([bn("a")(y), L.ReLU()(bn("b")(y))])
    assert_folds(model(x, z), [], {"a": "is also used by 'b'", "b": "is also used by 'a'"})


def test_a_norm_that_is_an_output_and_used_keeps_its_name():
    x = image()
    y = bn("normed")(conv("conv")(x))
    m = model(x, [L.ReLU(name="relu")(y), y])
    result, _ = assert_folds(m, ["normed"])
    assert result.output_names == ["relu", "normed"]


def test_a_convolution_shared_by_two_norms():
    a, b = image("a"), image("b")
    shared = conv("conv")
    z = L.Concatenate()([L.ReLU()(bn("left")(shared(a))), L.ReLU()(bn("right")(shared(b)))])
    assert_folds(model([a, b], z), [], {"left": "'conv' is shared", "right": "'conv' is shared"})


def test_two_convolutions_sharing_a_norm_fold_both():
    x = image()
    shared = bn("shared")
    a, b = shared(conv("left")(x)), shared(conv("right")(x))
    _, report = assert_folds(model(x, L.Maximum()([a, b])), ["shared"])
    assert report.folded[0].into == ("left", "right")


def test_a_norm_shared_with_a_place_that_cannot_fold():
    x = image()
    shared = bn("shared")
    a, b = shared(conv("left")(x)), shared(L.ReLU(name="relu")(conv("right")(x)))
    assert_folds(model(x, L.Maximum()([a, b])), [], {"shared": "'relu' (ReLU) is not linear"})


def test_a_shared_pair_folds_once_for_both_calls():
    a, b = image("a"), image("b")
    c, n = conv("conv"), bn("bn")
    assert_folds(model([a, b], L.Maximum()([n(c(a)), n(c(b))])), ["bn"])


def test_a_norm_applied_to_its_own_output():
    x = image()
    n = bn("again")
    assert_folds(model(x, L.ReLU()(n(n(conv("conv")(x))))), [], ["again"])
