"""Dicts, operations, masks, several outputs, recurrent layers: what else a graph may hold."""

import keras
import numpy as np
import pytest
from fold_checks import assert_close, assert_folds, random_batch, randomize, run
from fold_models import bn, conv, image, model
from keras_norms.export.folding.fold import fold

L = keras.layers


def test_dicts_in_and_out():
    a, b = image("a"), image("b")
    y = bn("left")(conv("l")(a))
    z = L.ReLU(name="relu")(bn("right")(conv("r")(b)))
    m = model({"b": b, "a": a}, {"second": z, "first": y, "list": [y, z]})
    result, _ = assert_folds(m, ["left", "right"])
    assert list(result.output) == ["second", "first", "list"]
    assert list(result.input) == ["b", "a"]


def test_keras_operations_between():
    x = image()
    y = keras.ops.relu(bn()(conv("conv")(x * 2.0)))
    y = (
        keras.ops.concatenate([y, keras.ops.flip(y, 1)], axis=-1)
        + keras.ops.mean(y, axis=(1, 2), keepdims=True)[..., :1]
    )
    assert_folds(model(x, y), ["bn"])


def test_multi_head_attention_and_keyword_tensors():
    x = keras.Input((6, 8), name="x")
    mask = keras.Input((6,), dtype="bool", name="mask")
    y = L.MultiHeadAttention(2, 4)(x, value=x, key_mask=mask)
    y = bn()(L.Dense(8, name="dense")(y))
    assert_folds(model([x, mask], y), ["bn"])


def test_a_norm_with_an_explicit_mask_stays():
    x = keras.Input((6, 8), name="x")
    mask = keras.Input((6,), dtype="bool", name="mask")
    m = model([x, mask], bn()(L.Dense(8, name="dense")(x), mask=mask))
    assert_folds(m, [], {"bn": "it is called with an explicit mask"})


def test_automatic_masks_flow_on():
    x = keras.Input((6,), dtype="int32", name="tokens")
    y = L.Embedding(5, 4, mask_zero=True)(x)
    y = bn()(L.Dense(8, name="dense")(y))
    assert_folds(model(x, L.GlobalAveragePooling1D()(y)), ["bn"])


def test_a_graph_cut_out_of_a_larger_one():
    x = image()
    y = L.ReLU(name="mid")(conv("first")(x))
    z = bn()(conv("second")(y))
    assert_folds(randomize(keras.Model(y, z)), ["bn"])


def test_a_tensor_that_is_two_outputs_and_an_input_that_is_one():
    x = image()
    y = bn()(conv("conv")(x))
    assert_folds(model(x, [y, y, x]), ["bn"])


def test_recurrent_layers_between():
    x = keras.Input((6, 4))
    y, h, _ = L.LSTM(3, return_sequences=True, return_state=True)(bn("in")(L.ReLU()(x)))
    y = L.Bidirectional(L.GRU(2, return_sequences=True))(bn("mid")(L.Dense(3)(y)))
    assert_folds(model(x, [y, h]), ["mid"], {"in": "(LSTM) is not linear"})


def test_functions_that_have_no_registered_name():
    x = image()
    y = L.Activation(lambda t: keras.ops.tanh(t) * 2.0)(bn()(conv("conv")(x)))
    y = L.Dense(3, activation=lambda t: t * 3.0, name="dense")(y)
    m = model(x, y)
    m.compile("sgd", lambda a, b: keras.ops.mean(a - b), jit_compile=False)
    assert len(fold(m).report.folded) == 1
    inputs = random_batch(m)
    assert_close(run(fold(m).model, inputs), run(m, inputs), 1e-5)


class Scaled(L.Layer):
    def call(self, x):
        return x * 2.0


class Holder(L.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


def test_classes_that_are_not_registered():
    x = image()
    assert_folds(model(x, Holder(Scaled())(L.ReLU()(bn()(conv("conv")(x))))), ["bn"])


def test_a_norm_along_the_batch_stays():
    x = keras.Input(batch_shape=(4, 3, 2))
    m = model(x, L.Dense(2)(L.Flatten()(bn(axis=0)(L.ReLU()(x)))))
    assert_folds(m, [], ["bn"], x=random_batch(m, batch=4))


def test_augmentation_in_front_keeps_nothing_from_folding():
    m = keras.Sequential([image(), L.RandomFlip(), L.RandomContrast(0.2), L.Rescaling(0.5), conv("conv"), bn()])
    assert_folds(randomize(m), ["bn"])


def test_preprocessing_that_was_adapted():
    bins = L.Discretization(num_bins=4)
    bins.adapt(np.random.default_rng(0).normal(size=(100, 1)).astype("float32"))
    x = keras.Input((1,))
    y = L.Flatten()(L.Embedding(5, 2, name="embed")(bins(x)))
    assert_folds(model(x, bn()(L.Dense(3, name="dense")(y))), ["bn"])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strings are TensorFlow's")
def test_words():
    words = L.TextVectorization(max_tokens=9, output_sequence_length=4)
    words.adapt(["a b c", "a d e f"])
    m = keras.Sequential([keras.Input((1,), dtype="string"), words, L.Embedding(9, 4), bn(), L.ReLU()])
    _, report = fold(randomize(m))
    assert [r.norm for r in report.folded] == ["bn"]
