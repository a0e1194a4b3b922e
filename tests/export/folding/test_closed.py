"""Custom layers that cannot be opened, and what else is no graph of layers: it stays as it is, with the reason."""

import keras
import pytest
from fold_blocks import Block, Joined, Residual, block_model
from fold_checks import assert_folds, randomize, state
from fold_models import IMAGE, bn, conv, image, model
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold, fold_plan

L = keras.layers


class Opaque(Block):
    """What Keras itself need not trace."""

    def compute_output_spec(self, x, **_):
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
    assert_folds(block_model(NoConfigInside(name="block")), [], {"block/hidden": "does not come back from it: "})


def test_a_custom_layer_over_time_stays_closed():
    x = keras.Input((2, *IMAGE))
    m = model(x, L.TimeDistributed(Residual(3, name="block"), name="td")(x))
    assert_folds(m, [], {"td/hidden": "inside the custom layer 'td', whose call is Python code"})


def test_a_custom_layer_called_in_training_mode_stays_closed():
    x = image()
    m = model(x, L.ReLU()(Block(3, name="block")(x, training=True)))
    assert_folds(m, [], {"block/hidden": "it is called with training=True"})


def test_a_custom_layer_called_with_other_options_stays_closed():
    x = image()
    joined = Joined(3, name="joined")
    m = model(x, [joined(x, b=x, weight=1.0), joined(x, b=x, weight=2.0)])
    assert_folds(m, [], {"joined/hidden": "its calls in the model differ in more than sizes"})


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


@pytest.mark.parametrize("given", [False, True])
def test_a_custom_layer_on_masked_tensors_stays_closed(given):
    x = keras.Input((6,), dtype="int32")
    mask = {"mask": keras.ops.not_equal(x, 0)} if given else {}
    y = Masked(name="masked")(L.Embedding(5, 4, mask_zero=not given)(x), **mask)
    assert_folds(model(x, L.GlobalAveragePooling1D()(y)), [], {"masked/hidden": "it is called on masked tensors"})


class Around(L.Layer):
    """Holds a custom layer that others hold too."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return keras.ops.tanh(self.inner(x))


def test_a_custom_layer_shared_by_others_at_other_sizes_stays_closed():
    x, shared = image(), Block(3, name="block")
    m = model(x, [Around(shared, name="whole")(x), Around(shared, name="half")(L.MaxPooling2D(2)(x))])
    reasons = {r.norm: r.reason for r in fold_plan(m).kept}
    assert reasons
    assert all("it is called on tensors of other shapes elsewhere" in reason for reason in reasons.values()), reasons


def test_a_layer_shared_with_a_custom_layer():
    block = Block(3, name="block")
    x = image()
    m = model(x, L.Maximum()([block(x), bn()(block.conv(x))]))
    report = fold(m).report
    reasons = {r.norm: r.reason for r in report.kept}
    assert "'block/conv' is shared" in reasons["bn"] or "'conv' is shared" in reasons["bn"]


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
    with pytest.raises(FoldError, match="come back from it: Object NoConfig was created by passing"):
        fold(keras.Model(x, NoConfig(keras.ops.relu)(x)))


class FunctionalSubclass(keras.Model):
    def train_step(self, *args, **kwargs):
        return super().train_step(*args, **kwargs)


def test_a_functional_subclass_stays_of_its_class():
    x = image()
    m = randomize(FunctionalSubclass(x, bn()(conv("conv")(x))))
    result, _ = assert_folds(m, ["bn"])
    assert isinstance(result, FunctionalSubclass)
