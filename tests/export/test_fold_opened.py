"""Layers whose call is Python code."""

import keras
import pytest
from fold_checks import assert_close, assert_folds, random_batch, randomize, run, state, structure
from fold_models import IMAGE, bn, conv, image, model
from keras_norms.export.errors import FoldError
from keras_norms.export.fold import fold

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    def __init__(self, filters=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv = L.Conv2D(filters, 3, padding="same", name="conv")
        self.bn = L.BatchNormalization(name="hidden")

    def build(self, shape):
        self.conv.build(shape)
        self.bn.build((*shape[:-1], self.filters))

    def call(self, x, training=None):
        return self.finish(self.bn(self.conv(x), training=training))

    def finish(self, y):
        return y

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


class Activated(Block):
    """A norm that cannot fold."""

    def call(self, x):
        return self.bn(keras.ops.relu(self.conv(x)))


class Residual(Block):
    def compute_output_shape(self, shape):
        return (*shape[:-1], self.filters)

    def call(self, x, training=False):
        return keras.ops.relu(x + self.bn(self.conv(x), training=training))


def block_model(block):
    x = image()
    return model(x, L.ReLU(name="last")(block(conv("first")(x))))


def folds_opened(m, folded, kept=()):
    """As `assert_folds`, for models in which layers become models."""
    x = random_batch(m)
    before, expected = state(m), run(m, x)
    result, report = fold(m)
    assert sorted(r.norm for r in report.folded) == sorted(folded)
    reasons = {r.norm: r.reason for r in report.kept}
    assert sorted(reasons) == sorted(kept)
    for norm in kept:
        assert kept[norm] in reasons[norm], reasons[norm]
    assert state(m) == before
    assert structure(result) == structure(m)
    assert_close(run(result, x), expected, 2e-5)
    assert fold(result).report.folded == []
    return result, report


def test_a_custom_layer_with_a_norm_is_opened():
    m = block_model(Residual(name="block"))
    result, report = folds_opened(m, ["block/hidden"])
    assert report.folded[0].into == ("block/conv",)
    assert isinstance(result.get_layer("block"), keras.Model)
    assert "custom layers were opened" in report.notes[0]
    assert "'block' (Residual)" in report.notes[0]
    assert report.notes[0] in str(report)


def test_a_custom_layer_in_which_nothing_folds_stays_what_it_is():
    m = block_model(Activated(name="block"))
    result, report = folds_opened(m, [], {"block/hidden": "before it, 'block/relu' (Relu) is not linear"})
    assert type(result.get_layer("block")) is Activated
    assert report.notes == []


def test_a_norm_before_and_behind_a_custom_layer():
    x = image()
    m = model(x, L.ReLU()(bn("after")(Block(3, name="block")(L.ReLU()(x)))))
    _, report = folds_opened(m, ["after", "block/hidden"])
    assert {f.into for f in report.folded} == {("block/conv",)}


def test_the_opened_model_saves_without_the_class_and_trains(tmp_path):
    m = block_model(Residual(name="block"))
    result, _ = fold(m)
    result.save(tmp_path / "folded.keras")
    with keras.saving.custom_object_scope({}):
        loaded = keras.saving.load_model(tmp_path / "folded.keras")
    x = random_batch(m)
    assert_close(run(loaded, x), run(m, x), 2e-5)
    loaded.compile("sgd", "mse", jit_compile=False)
    loaded.fit(x, run(m, x)[0], verbose=0)


def test_custom_layers_in_a_sequential_model():
    m = randomize(
        keras.Sequential([image(), Residual(3, name="a"), L.ReLU(), Activated(3, name="b"), Residual(3, name="c")])
    )
    result, _ = folds_opened(m, ["a/hidden", "c/hidden"], {"b/hidden": "(Relu) is not linear"})
    assert type(result) is keras.Sequential
    assert type(result.get_layer("b")) is Activated


def test_a_custom_layer_over_time_stays_closed():
    x = keras.Input((2, *IMAGE))
    m = model(x, L.TimeDistributed(Residual(3, name="block"), name="td")(x))
    assert_folds(m, [], {"td/hidden": "inside the custom layer 'td', whose call is Python code"})


def test_a_custom_layer_called_twice_folds_once_for_both():
    a, b = image("a"), image("b")
    block = Block(3, name="block")
    folds_opened(model([a, b], L.Maximum()([block(a), block(L.ReLU()(b))])), ["block/hidden"])


def test_a_custom_layer_called_at_two_sizes():
    x = image()
    block = Block(3, name="block")
    head = L.GlobalAveragePooling2D(name="pool")
    m = model(x, [head(block(x)), head(block(L.MaxPooling2D()(x)))])
    folds_opened(m, ["block/hidden"])


class Nest(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(name="same"), Residual(name="same")]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return {"last": x, "twice": 2.0 * x}


def test_custom_layers_in_custom_layers_of_the_same_name():
    x = image()
    made = Nest(name="nest")(conv("first")(x))
    result, _ = folds_opened(
        model(x, [L.ReLU()(made["last"]), L.ReLU()(made["twice"])]),
        [
            "nest/same/hidden",
            "nest/same_1/hidden",
        ],
    )
    assert [layer.name for layer in result.get_layer("nest").layers if isinstance(layer, keras.Model)] == [
        "same",
        "same_1",
    ]


class Joined(Block):
    def call(self, a, b, weight=1.0):
        return a + weight * self.bn(self.conv(b))

    def build(self, a_shape, b_shape=None):
        super().build(a_shape)


def test_several_tensors_and_options():
    x = image()
    y, z = conv("a")(x), conv("b")(x)
    m = model(x, L.ReLU()(Joined(name="joined")(y, b=z, weight=0.5)))
    folds_opened(m, ["joined/hidden"])


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
def test_a_custom_layer_that_computes_in_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        block = Residual(3, name="block")
    finally:
        keras.config.set_dtype_policy("float32")
    x = image()
    m = model(x, L.ReLU(dtype="float32")(block(x)))
    before, expected = state(m), run(m, random_batch(m))
    result, report = fold(m)
    assert [f.norm for f in report.folded] == ["block/hidden"]
    assert state(m) == before
    assert_close(run(result, random_batch(m)), expected, 1e-2 if policy == "mixed_float16" else 2e-5)


# Layers that stay closed


class Opaque(Block):
    """What Keras itself need not trace."""

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor(x.shape, x.dtype)


class Owner(Opaque):
    def build(self, shape):
        super().build(shape)
        self.factor = self.add_weight(shape=(3,), name="factor")

    def call(self, x):
        return self.factor * super().call(x)


class Borrower(Opaque):
    def call(self, x):
        return super().call(x) + keras.ops.sum(self.conv.kernel)


class Tied(Opaque):
    def call(self, x):
        return super().call(x) * self.conv.bias


class Undecided(Opaque):
    def call(self, x):
        return super().call(x) if keras.ops.max(x) > -100 else x


class Insistent(Opaque):
    def call(self, x):
        return self.bn(self.conv(x), training=True)


class Maker(Opaque):
    def call(self, x):
        return L.Dense(3, kernel_initializer="ones")(self.bn(self.conv(x)))


class Lossy(Opaque):
    def call(self, x):
        y = super().call(x)
        self.add_loss(keras.ops.sum(y))
        return y


class Pair(Opaque):
    def call(self, x):
        return super().call(x) if hasattr(x, "_keras_history") else 2.0 * super().call(x)


CLOSED = {
    "own_weight": (Owner, "it has the weight 'factor' of its own"),
    "borrowed_weight": (Borrower, "/kernel' outside of a layer"),
    "weight_in_an_operation": (Tied, "/bias' outside of a layer"),
    "python_condition": (Undecided, "its call cannot run on symbolic tensors: "),
    "training_inside": (Insistent, "its call hands training=True to 'hidden' also in inference"),
    "new_layer_in_each_call": (Maker, "uses the layer 'dense', whose weights are not among its own"),
    "loss": (Lossy, "its call cannot run on symbolic tensors: `add_loss()`"),
    "other_values_than_traced": (Pair, "depends on more than its inputs' shapes"),
}


@pytest.mark.parametrize("case", CLOSED)
def test_a_custom_layer_that_cannot_be_opened(case):
    make, reason = CLOSED[case]
    x = image()
    m = model(x, L.ReLU()(bn("outside")(conv("last")(make(3, name="block")(x)))))
    before = state(m)
    result, report = fold(m)
    assert [f.norm for f in report.folded] == ["outside"]
    reasons = {r.norm: r.reason for r in report.kept}
    assert "inside the custom layer 'block', whose call is Python code: " in reasons["block/hidden"]
    assert reason in reasons["block/hidden"], reasons
    assert type(result.get_layer("block")) is make
    assert state(m) == before


class NoConfigInside(Block):
    """Comes back from its config, unlike one of its layers."""

    def build(self, shape):
        super().build(shape)
        self.last = NoConfig(keras.ops.relu)

    def finish(self, y):
        return self.last(y)


def test_a_custom_layer_whose_layers_cannot_be_made_anew_stays_closed():
    assert_folds(block_model(NoConfigInside(name="block")), [], {"block/hidden": "does not come back from it"})


def test_a_custom_layer_called_in_training_mode_stays_closed():
    x = image()
    m = model(x, L.ReLU()(Block(3, name="block")(x, training=True)))
    assert_folds(m, [], {"block/hidden": "it is called with training=True"})


def test_a_custom_layer_called_with_other_options_stays_closed():
    x = image()
    joined = Joined(3, name="joined")
    m = model(x, [joined(x, b=x, weight=1.0), joined(x, b=x, weight=2.0)])
    assert_folds(m, [], {"joined/hidden": "its calls in the model differ in more than sizes"})


def test_a_custom_layer_on_masked_tensors_stays_closed():
    class Masked(L.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True
            self.dense, self.bn = L.Dense(4), L.BatchNormalization(name="hidden")

        def build(self, shape):
            self.dense.build(shape)
            self.bn.build(shape)

        def call(self, x, mask=None):
            return self.bn(self.dense(x), mask=mask)

    x = keras.Input((6,), dtype="int32")
    y = Masked(name="masked")(L.Embedding(5, 4, mask_zero=True)(x))
    assert_folds(model(x, L.GlobalAveragePooling1D()(y)), [], {"masked/hidden": "it is called on masked tensors"})


def test_a_layer_shared_with_a_custom_layer():
    block = Block(3, name="block")
    x = image()
    m = model(x, L.Maximum()([block(x), bn()(block.conv(x))]))
    report = fold(m).report
    reasons = {r.norm: r.reason for r in report.kept}
    assert "'block/conv' is shared" in reasons["bn"] or "'conv' is shared" in reasons["bn"]


# Models that are no graph of layers


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: keras.Sequential([L.Dense(2)]), "whose input shape is unknown"),
        (lambda: L.Dense(2), "fold needs a keras.Model; received Dense"),
        (lambda: "model.keras", "fold needs a keras.Model; received str"),
    ],
    ids=["unbuilt", "layer", "path"],
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
