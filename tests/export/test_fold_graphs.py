"""What surrounds a norm and its layer: other users, other outputs, nesting, sharing, training flags, custom code."""

import json

import keras
import numpy as np
import pytest
from fold_checks import assert_close, assert_folds, random_batch, randomize, run, structure
from keras_norms.export.errors import FoldError
from keras_norms.export.fold import fold, fold_plan

L = keras.layers
IMAGE = (8, 7, 3)


def conv(name, filters=4, **kwargs):
    return L.Conv2D(filters, 3, padding="same", name=name, **kwargs)


def bn(name="bn", **kwargs):
    return L.BatchNormalization(name=name, **kwargs)


def model(inputs, outputs, **kwargs):
    return randomize(keras.Model(inputs, outputs, **kwargs))


def image(name="image"):
    return keras.Input(IMAGE, name=name)


# Who else sees the tensor between


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


# Training flags


def test_training_true_at_the_norm():
    x = image()
    assert_folds(model(x, bn()(conv("conv")(x), training=True)), [], {"bn": "it is called with training=True"})


def test_training_true_reaches_the_norms_after_it():
    x = image()
    y = L.ReLU()(bn("first")(conv("a")(x)))
    y = L.Dropout(0.5, name="mc_dropout")(y, training=True)
    y = L.ReLU()(bn("second")(conv("b")(y)))
    m = model(x, y)
    # As Keras has it: called without a flag, the norm after the dropout uses its batch.
    a, b = run_unset(m), run(m, random_batch(m))[0]
    assert not np.allclose(a, b, atol=1e-3)
    assert_folds(m, ["first"], {"second": "'mc_dropout' is called with training=True"})


def run_unset(m):
    return keras.ops.convert_to_numpy(m(keras.ops.convert_to_tensor(random_batch(m))))


def test_training_false_at_the_norm_folds():
    x = image()
    assert_folds(model(x, L.ReLU()(bn()(conv("conv")(x), training=False))), ["bn"])


def test_training_true_inside_a_nested_model_call():
    inner = keras.Sequential([image(), conv("conv"), bn()], name="inner")
    x = image()
    assert_folds(model(x, L.ReLU()(inner(x, training=True))), [], {"inner/bn": "'inner' is called with training=True"})


# Nested models


def encoder(name="encoder", last="bn"):
    x = image()
    y = L.ReLU()(bn("inside")(conv("conv")(x)))
    return keras.Model(x, bn(last)(conv("last")(y)), name=name)


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


# Structures


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


# Layers that are Python code


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = L.Conv2D(4, 3, padding="same")
        self.bn = L.BatchNormalization(name="hidden")

    def build(self, shape):
        self.conv.build(shape)
        self.bn.build((*shape[:-1], 4))

    def call(self, x, training=None):
        return self.bn(self.conv(x), training=training)


def test_norms_inside_a_custom_layer_stay():
    x = image()
    y = L.ReLU()(bn()(conv("conv")(Block(name="block")(x))))
    assert_folds(model(x, y), ["bn"], {"block/hidden": "inside the custom layer 'block', whose call is Python code"})


def test_a_layer_shared_with_a_custom_layer_stays():
    block = Block(name="block")
    x = image()
    m = model(x, L.Maximum()([block(x), bn()(block.conv(x))]))
    _, report = fold(m)
    reasons = {r.norm: r.reason for r in report.kept}
    assert f"{block.conv.name!r} is shared" in reasons["bn"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Subclassed(), "whose class Subclassed computes its output in Python code"),
        (lambda: keras.Sequential([L.Dense(2)]), "whose input shape is unknown"),
        (lambda: L.Dense(2), "fold needs a keras.Model; received Dense"),
        (lambda: "model.keras", "fold needs a keras.Model; received str"),
    ],
    ids=["subclassed", "unbuilt", "layer", "path"],
)
def test_what_is_no_graph_of_layers(make, text):
    with pytest.raises(FoldError, match=text):
        fold(make())


class NoConfig(L.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def test_a_layer_without_a_config():
    x = image()
    with pytest.raises(FoldError, match="comes? back from it"):
        fold(keras.Model(x, NoConfig(keras.ops.relu)(x)))


class FunctionalSubclass(keras.Model):
    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_functional_subclass_stays_of_its_class():
    x = image()
    m = randomize(FunctionalSubclass(x, bn()(conv("conv")(x))))
    result, _ = assert_folds(m, ["bn"])
    assert isinstance(result, FunctionalSubclass)


# What the result can do


@pytest.mark.parametrize("build", [encoder, lambda: keras.Sequential([image(), conv("conv"), bn("last")])])
def test_the_result_saves_and_loads(build, tmp_path):
    m = randomize(build())
    result, _ = fold(m)
    result.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    x = random_batch(m)
    assert_close(run(loaded, x), run(result, x), 1e-6)
    before, after = structure(m), structure(loaded)
    assert [before[k] for k in ("outputs", "output_names")] == [after[k] for k in ("outputs", "output_names")]
    assert fold(loaded).report.folded == []


def test_the_result_trains_and_keeps_the_compilation():
    x = image()
    y = L.Dense(2, name="head")(L.GlobalAveragePooling2D()(L.ReLU()(bn()(conv("conv")(x)))))
    m = model(x, y)
    m.compile("sgd", {"head": "mse"}, jit_compile=False)
    result, _ = fold(m)
    before = result.get_layer("conv").get_weights()[0]
    result.fit(random_batch(m, 4), np.ones((4, 2), "float32"), verbose=0)
    assert not np.array_equal(before, result.get_layer("conv").get_weights()[0])


def test_trainable_flags_stay():
    x = image("top")
    inner = encoder()
    m = model(x, bn("out")(conv("c")(inner(x))))
    inner.trainable = False
    inner.get_layer("last").trainable = True
    result, _ = fold(m)
    for name in ("conv", "last"):
        assert result.get_layer("encoder").get_layer(name).trainable == inner.get_layer(name).trainable
    assert result.get_layer("c").trainable
    assert not result.get_layer("encoder").trainable


def test_flags_of_single_weights_stay():
    x = image()
    m = model(x, bn()(conv("edited")(L.ReLU()(conv("same")(x)))))
    for name in ("edited", "same"):
        m.get_layer(name).kernel.trainable = False
    result, _ = fold(m)
    for name in ("edited", "same"):
        assert [w.trainable for w in result.get_layer(name).weights] == [False, True]


def test_state_outside_of_weights_is_copied():
    normalize = L.Normalization(name="normalize")
    normalize.adapt(np.random.default_rng(0).normal(3.0, 2.0, (64, 5)).astype("float32"))
    m = randomize(keras.Sequential([keras.Input((5,)), normalize, L.Dense(3), bn()]))
    assert_folds(m, ["bn"])


# Reports


def test_the_report_reads_and_serializes():
    x = image()
    y = conv("conv_3")(x)
    m = model(x, [y, L.ReLU(name="relu")(bn("kept")(y)), bn("gone")(conv("c")(x))], name="small")
    report = fold(m).report
    text = str(report)
    assert text.splitlines()[0].startswith("small: 1 of 2 batch norms folded")
    assert "the output of 'conv_3' is also an output of the model" in text
    data = json.loads(report.to_json())
    assert data == report.to_dict() | {"folded": data["folded"]}
    assert data["folded"][0]["norm"] == "gone"
    assert data["folded"][0]["into"] == ["c"]
    assert data["kept"][0]["norm"] == "kept"
    assert report.parameters_before - report.parameters_after == 16


def test_the_plan_alone_says_the_same():
    m = randomize(encoder())
    planned, done = fold_plan(m), fold(m).report
    assert [(r.norm, r.into, r.rule) for r in planned.folded] == [(r.norm, r.into, r.rule) for r in done.folded]
    assert planned.kept == done.kept
    assert all(r.error is None for r in planned.folded)


def test_one_norm_that_stays_does_not_stop_the_others():
    x = image()
    y = L.ReLU()(bn("first")(conv("a")(x)))
    y = bn("stays")(L.ReLU()(y))
    y = L.ReLU()(bn("last")(conv("b", activation="tanh")(y)))
    y = L.ReLU()(bn("end")(conv("c")(y)))
    assert_folds(model(x, y), ["first", "end"], ["stays", "last"])


def test_the_report_counts_what_is_saved():
    assert fold(model(*_one())).report.multiply_adds_saved == 8 * 7 * 4
    x = keras.Input((None, 7, 3))
    assert fold(model(x, bn()(conv("conv")(x)))).report.multiply_adds_saved is None


def _one():
    x = image()
    return x, bn()(conv("conv")(x))


# Norms that fold into nothing


def pre_activation():
    x = image()
    y = conv("first")(x)
    z = L.Conv2D(4, 3, padding="same", name="second")(L.ReLU()(bn("pre")(y)))
    return model(x, L.ReLU()(bn("top")(L.Add()([y, z]))))


def test_a_norm_left_over_becomes_a_depthwise_convolution_on_demand():
    m = pre_activation()
    x = random_batch(m)
    before = fold(m)
    assert {r.norm for r in before.report.kept} == {"pre", "top"}
    result, report = fold(m, standalone="depthwise")
    assert not report.kept
    assert {(r.norm, r.into, r.rule) for r in report.folded} == {
        ("pre", ("pre",), "standalone depthwise convolution"),
        ("top", ("top",), "standalone depthwise convolution"),
    }
    assert type(result.get_layer("pre")) is L.DepthwiseConv2D
    assert_close(run(result, x), run(m, x), 2e-6)
    assert structure(result) == structure(m)
    assert fold(result, standalone="depthwise").report.folded == []


def test_standalone_leaves_what_is_no_image():
    x = keras.Input((6, 4))
    m = model(x, L.ReLU()(bn()(L.ReLU()(x))))
    assert [r.norm for r in fold(m, standalone="depthwise").report.kept] == ["bn"]
    with pytest.raises(FoldError, match="standalone must be None or \"depthwise\"; received 'dense'"):
        fold(m, standalone="dense")


# What else a model may hold


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
