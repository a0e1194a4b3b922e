"""Subclassed models: traced to a graph of layers, folded, held to what the Python code computes; or refused."""

import sys

import keras
import numpy as np
import pytest
from fold_checks import assert_close
from fold_models import IMAGE, bn, conv
from fold_python import built, everything, flat, images
from keras import tree
from keras_norms.export import FoldError
from keras_norms.export.folding.fold import fold, fold_plan

import keras_norms

L = keras.layers


class Block(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.bn = conv("conv"), keras_norms.BatchNormalization(name="bn")

    def call(self, x, training=None):
        return keras.ops.relu(x + self.bn(self.conv(x), training=training))


class Head(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pool, self.dense, self.bn = L.GlobalAveragePooling2D(), L.Dense(3, name="dense"), bn("bn")

    def call(self, x):
        return self.bn(self.dense(self.pool(x)))


class Net(keras.Model):
    """Blocks, a nested subclassed model, a nested functional one, dropout, a shared layer."""

    def __init__(self, outputs=lambda y, _x: y, **kwargs):
        super().__init__(**kwargs)
        self.stem = keras.Sequential([keras.Input(IMAGE), conv("conv"), bn("bn"), L.ReLU()], name="stem")
        self.block, self.drop, self.head = Block(name="block"), L.Dropout(0.5), Head(name="head")
        self.outputs_of = outputs

    def call(self, x, training=False):
        x = self.block(self.block(self.stem(x), training=training), training=training)
        return self.outputs_of(self.head(self.drop(x, training=training)), x)


ALL = ["block/bn", "head/bn", "stem/bn"]


def folds(model, folded, kept=(), x=None, tolerance=2e-5):
    x = images() if x is None else x
    before, expected = everything(model), flat(model, x)
    structure = tree.map_structure(lambda y: keras.backend.standardize_dtype(y.dtype), model(x, training=False))
    result, report = fold(model)
    assert sorted(f.norm for f in report.folded) == sorted(folded)
    assert sorted(k.norm for k in report.kept) == sorted(kept)
    assert everything(model) == before
    assert_close(flat(result, x), expected, tolerance)
    same = tree.map_structure(lambda y: keras.backend.standardize_dtype(y.dtype), result(x, training=False))
    assert same == structure
    assert result.name == model.name
    assert "computes its output in Python code; its call was traced" in report.notes[0]
    assert fold(result).report.folded == []
    return result, report


def test_a_subclassed_model():
    result, report = folds(built(Net(name="net")), ALL)
    assert [
        type(layer).__module__.split(".")[0] for layer in result._flatten_layers() if "keras" not in str(type(layer))
    ] == []
    assert "takes input (None, 8, 7, 3)" in report.notes[0]
    assert [f.into for f in report.folded if f.norm == "block/bn"] == [("block/conv",)]


STRUCTURES = {
    "dict": lambda y, x: {"second": y, "first": x},
    "list": lambda y, x: [y, x],
    "tuple": lambda y, x: (y, {"a": x, "b": [y]}),
    "input_dtype": lambda y, x: [keras.ops.argmax(y, -1), x],
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_output_structures(case):
    folds(built(Net(STRUCTURES[case])), ALL)


class Fusion(keras.Model):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.a, self.b = L.Dense(4), L.Dense(4), bn("a"), bn("b")

    def call(self, inputs):
        one, other = inputs.values() if isinstance(inputs, dict) else inputs
        return self.a(self.left(one)) * self.b(self.right(other))


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_several_inputs(kind):
    one, other = np.ones((2, 5), "float32"), np.full((2, 3), 2.0, "float32")
    x = {"one": one, "other": other} if kind is dict else kind((one, other))
    result, _ = folds(built(Fusion(), x), ["a", "b"], x=x)
    if kind is dict:
        assert list(result.input) == ["one", "other"]


class Words(keras.Model):
    """Integers looked up, a mask that flows on."""

    def __init__(self, mask_zero=True):
        super().__init__()
        self.embed, self.dense, self.bn = L.Embedding(7, 4, mask_zero=mask_zero), L.Dense(4), bn("bn")
        self.pool = L.GlobalAveragePooling1D()

    def call(self, tokens):
        return self.pool(keras.ops.relu(self.bn(self.dense(self.embed(tokens)))))


def test_masks_and_tokens():
    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 6]], "int32")
    result, _ = folds(built(Words(), tokens), ["bn"], x=tokens)
    assert result.inputs[0].dtype == "int32"
    assert fold(built(Words(), tokens), inputs=tokens).model.inputs[0].dtype == "int32"


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        m = built(Net(lambda y, x: [y, x]))
    finally:
        keras.config.set_dtype_policy("float32")
    folds(m, ALL, tolerance=2e-2)


class Scaled(keras.Model):
    """Operations on the inputs themselves, in half precision."""

    def __init__(self):
        super().__init__(dtype="mixed_float16")
        self.dense, self.bn = L.Dense(4, dtype="mixed_float16"), bn("bn", dtype="mixed_float16")

    def call(self, x):
        return self.bn(self.dense(x * 2.0)) + x[:, :4]


def test_inputs_are_cast_as_the_model_casts_them():
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    result, _ = folds(built(Scaled(), x), ["bn"], x=x, tolerance=1e-2)
    assert result.inputs[0].dtype == "float32"


def test_the_result_trains_with_dropout_and_saves(tmp_path):
    m = built(Net())
    result, _ = fold(m)
    x = images(8)
    a, b = (keras.ops.convert_to_numpy(result(x, training=True)) for _ in range(2))
    assert not np.array_equal(a, b)
    result.compile("sgd", "mse", jit_compile=False)
    result.fit(x, np.ones((8, 3), "float32"), verbose=0)
    result.save(tmp_path / "folded.keras")
    assert_close(flat(keras.saving.load_model(tmp_path / "folded.keras"), x), flat(result, x), 1e-6)


def test_the_plan_alone(monkeypatch):
    m = built(Net())
    done = fold(m).report
    monkeypatch.setattr(sys.modules["keras_norms.export.folding.fold"], "apply", None)
    planned = fold_plan(m)
    assert [(f.norm, f.into) for f in planned.folded] == [(f.norm, f.into) for f in done.folded]
    assert planned.notes == done.notes


def test_names_depend_on_nothing_before():
    def names():
        return [layer.name for layer in fold(built(Net())).model._flatten_layers() if "re" not in layer.name[:2]]

    first = names()
    keras.Sequential([L.Dense(2), L.ReLU(), L.Add()])
    assert fold(built(Fusion(), [np.ones((1, 2)), np.ones((1, 2))])).model.layers[0].name == "input_0"
    assert [n for n in names() if "_" not in n] == [n for n in first if "_" not in n]


def test_names_afterwards_go_on_from_those_before():
    m, number = built(Net()), lambda: int(L.Dense(1).name.partition("_")[2] or 0)
    before = number()
    fold(m)
    assert number() == before + 1


class Doubling(keras.Model):
    """A functional model with a call of its own around Keras'."""

    def call(self, inputs, training=None, mask=None):
        return 2.0 * super().call(inputs, training=training, mask=mask)


def test_a_functional_model_with_a_call_of_its_own():
    x = keras.Input(IMAGE, name="image")
    m = built(Doubling({"image": x}, L.ReLU()(bn("bn")(conv("conv")(x)))), {"image": images()})
    result, _ = folds(m, ["bn"], x={"image": images()})
    assert type(result) is not Doubling
    assert list(result.input) == ["image"]


class Counting(Head):
    """Leaves things in containers of its own."""

    def __init__(self):
        super().__init__()
        self.seen, self.last, self.shapes = [], {}, set()

    def call(self, x):
        y = super().call(x)
        self.seen.append(y)
        self.last[f"call {len(self.seen)}"] = y
        self.shapes.add(len(self.seen))
        return y


def test_what_a_call_leaves_in_containers_is_taken_back():
    m = built(Counting())
    before = list(m.seen), dict(m.last), set(m.shapes)
    assert [f.norm for f in fold(m).report.folded] == ["bn"]
    assert [id(x) for x in m.seen] == [id(x) for x in before[0]]
    assert list(m.last) == list(before[1])
    assert set(m.shapes) == before[2]


class Alone(Head):
    """Something else for one example than for several."""

    def call(self, x):
        y = super().call(x)
        return 3.0 * y if x.shape[0] == 1 else y


def test_python_code_that_depends_on_the_batch_is_refused():
    for x in (None, images(1), images(3)):
        with pytest.raises(FoldError, match="depends on more than its inputs' shapes"):
            fold(built(Alone()), inputs=x)


class Choosing(Head):
    """One of two Python functions."""

    def call(self, x):
        y = super().call(x)
        return keras.ops.cond(keras.ops.sum(y) > 0, lambda: y, lambda: -y)


def test_python_functions_in_an_operation_are_refused():
    with pytest.raises(FoldError, match="its call hands Python functions to the operation 'cond'"):
        fold(built(Choosing()))
