"""A norm behind a join of branches, and norms in several branches."""

import keras
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn

L = keras.layers
IMAGE = (9, 8, 4)


def branches(count, join, make=lambda i: L.Conv2D(4, 1, name=f"conv{i}"), norm=None):
    x = keras.Input(IMAGE)
    joined = join([make(i)(x) for i in range(count)])
    return randomize(keras.Model(x, L.ReLU()((norm or bn())(joined))))


JOINS = {
    "concatenate": lambda: L.Concatenate(),
    "concatenate_along_rows": lambda: L.Concatenate(axis=1),
    "add": lambda: L.Add(),
    "subtract": lambda: L.Subtract(),
    "average": lambda: L.Average(),
    "operator_plus": lambda: lambda xs: xs[0] + xs[1],
    "operator_minus": lambda: lambda xs: xs[0] - xs[1],
    "operation_concatenate": lambda: lambda xs: keras.ops.concatenate(xs, axis=-1),
}


@pytest.mark.parametrize("case", JOINS)
def test_backward_over_a_join(case):
    _, report = assert_folds(branches(2, JOINS[case]()), ["bn"])
    assert report.folded[0].into == ("conv0", "conv1")


def test_the_shift_of_a_sum_goes_to_one_addend():
    model = branches(3, L.Add(), lambda i: L.Conv2D(4, 1, use_bias=False, name=f"conv{i}"))
    result, _ = assert_folds(model, ["bn"])
    assert [result.get_layer(f"conv{i}").use_bias for i in range(3)] == [True, False, False]


@pytest.mark.parametrize("case", JOINS)
def test_one_branch_that_cannot_keeps_the_norm(case):
    def make(i):
        return L.Conv2D(4, 1, name=f"conv{i}", activation="relu" if i else None)

    assert_folds(branches(2, JOINS[case](), make), [], {"bn": "'conv1' applies its own activation 'relu'"})


def test_a_shared_layer_on_both_sides_of_a_sum():
    conv = L.Conv2D(4, 1, name="conv")
    x = keras.Input(IMAGE)
    model = keras.Model(x, L.ReLU()(bn()(L.Add()([conv(x), conv(L.ReLU()(x))]))))
    assert_folds(randomize(model), [], {"bn": "'conv' is shared"})


def test_a_sum_that_broadcasts():
    x = keras.Input(IMAGE)
    y = L.Add(name="sum")([L.Conv2D(4, 1)(x), L.Conv2D(1, 1)(x)])
    assert_folds(randomize(keras.Model(x, L.ReLU()(bn()(y)))), [], {"bn": "'sum' broadcasts its inputs"})


def test_a_sum_with_a_constant():
    x = keras.Input(IMAGE)
    y = L.Conv2D(4, 1)(x) + 3.0
    assert_folds(randomize(keras.Model(x, L.ReLU()(bn()(y)))), [], {"bn": "adds a constant"})


def test_a_tensor_added_to_itself():
    x = keras.Input(IMAGE)
    y = L.Conv2D(4, 1)(x)
    model = keras.Model(x, L.ReLU()(bn()(L.Add(name="twice")([y, y]))))
    assert_folds(randomize(model), [], {"bn": "used twice by 'twice'"})


def test_forward_over_a_concatenation():
    x = keras.Input(IMAGE)
    y = L.Concatenate()([L.ReLU()(x), bn("a")(L.ReLU()(x)), L.ReLU()(x), bn("b")(x)])
    assert_folds(randomize(keras.Model(x, L.Conv2D(3, 3)(y))), ["a", "b"])


def test_forward_into_several_users():
    x = keras.Input(IMAGE)
    y = bn()(L.ReLU()(x))
    model = keras.Model(x, L.Concatenate()([L.Conv2D(3, 3, name="a")(y), L.Conv2D(5, 3, name="b")(y)]))
    _, report = assert_folds(randomize(model), ["bn"])
    assert report.folded[0].into == ("a", "b")


def test_forward_into_a_user_that_cannot():
    x = keras.Input(IMAGE)
    y = bn()(L.ReLU()(x))
    model = keras.Model(x, [L.Conv2D(3, 3, name="a")(y), L.ReLU(name="relu")(y)])
    assert_folds(randomize(model), [], {"bn": "'relu' (ReLU) is not linear"})


def test_forward_into_a_shared_layer():
    x = keras.Input(IMAGE)
    dense = L.Dense(3, name="dense")
    model = keras.Model(x, [dense(bn()(L.ReLU()(x))), dense(x)])
    assert_folds(randomize(model), [], {"bn": "'dense' is shared"})


def test_forward_across_a_nested_boundary():
    first = keras.Sequential([keras.Input(IMAGE), L.ReLU(), bn()], name="first")
    second = keras.Sequential([keras.Input(IMAGE), L.Conv2D(3, 3, name="conv")], name="second")
    x = keras.Input(IMAGE)
    _, report = assert_folds(randomize(keras.Model(x, second(first(x)))), ["first/bn"])
    assert report.folded[0].into == ("second/conv",)
