"""convert_norms and freeze_norms: what becomes of outputs, weights and names, and what is refused."""

import keras
import numpy as np
import pytest
from keras import layers
from versions import HAS_RENORM, RENORM

import keras_norms as kn
from keras_norms._conversions import TARGETS, groups_for, matched

X = np.random.default_rng(3).normal(0.0, 1.0, (5, 8, 8, 3)).astype("float32")
EXACT = ("batch", "renorm", "frozen", "synchronized", "ghost", "none", "keras", "keras_norms")


def numpy_of(x):
    return keras.ops.convert_to_numpy(x)


def randomize(model, seed=4):
    """Weights of all norms: gammas of both signs, statistics away from 0 and 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "variance" in weight.name or "stddev" in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("gamma", "beta", "moving_mean", "renorm_mean"):
            weight.assign(rng.normal(0.3, 0.5, weight.shape))
    for layer in model.layers:
        if getattr(layer, "renorm", False):
            layer.moving_stddev.assign(np.sqrt(numpy_of(layer.moving_variance) + layer.epsilon))
    return model


def everything(seed=0):
    """Norms of Keras and of the pack: nested in a model that is called twice, shared, wrapped, before a dense layer."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization(name="first")(layers.Conv2D(8, 3, padding="same")(image)))
    inner = [keras.Input((8, 8, 8)), layers.Conv2D(8, 1), kn.BatchRenormalization(name="norm"), layers.ReLU()]
    inner = keras.Sequential(inner, name="inner")
    x = inner(inner(x)) + x
    shared = kn.BatchNormalization(name="shared", scale=False)
    x = shared(x) * 2.0 + shared(x)
    x = layers.TimeDistributed(layers.BatchNormalization(name="step"), name="steps")(x)
    x = layers.Lambda(lambda x: 2.0 * x, name="twice")(layers.GlobalAveragePooling2D()(x))
    x = layers.BatchNormalization(**RENORM, center=False, name="last")(layers.Dense(16)(x))
    return randomize(keras.Model({"image": image}, layers.Dense(3)(x)))


@pytest.fixture(scope="module")
def given():
    model = everything()
    return model, numpy_of(model({"image": X}))


def arguments(to):
    return {"virtual_batch_size": 2} if to == "ghost" else {}


@pytest.mark.parametrize("to", TARGETS)
def test_names_weights_and_outputs(to, given):
    model, expected = given
    before = model.get_weights()
    new, report = kn.convert_norms(model, to, **arguments(to))
    assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    assert report.exact == (to in EXACT)
    y = numpy_of(new({"image": X}))
    if report.exact:
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    else:
        assert np.abs(y - expected).max() > 1e-2
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    seen = {n.norm for n in report.converted} | {name for name, _ in report.kept}
    assert seen == {"first", "inner/norm", "shared", "steps/step", "last"}
    expected_classes = {
        "batch": kn.BatchNormalization,
        "renorm": kn.BatchRenormalization,
        "group": kn.GroupNormalization,
        "instance": kn.InstanceNormalization,
        "layer": kn.LayerNormalization,
        "keras": layers.BatchNormalization,
        "keras_norms": kn.BatchNormalization,
    }
    assert type(new.get_layer("first")) is expected_classes.get(to, type(new.get_layer("first")))
    assert "first" in str(report)


@pytest.mark.skipif(not HAS_RENORM, reason="this Keras has no renorm")
def test_what_is_special_of_each_target(given):
    model, _ = given
    ghost = kn.convert_norms(model, "ghost", virtual_batch_size=2).model
    assert ghost.get_layer("inner").layers[1].virtual_batch_size == 2
    assert type(ghost.get_layer("inner").layers[1]) is kn.BatchRenormalization
    assert kn.convert_norms(model, "synchronized").model.get_layer("shared").synchronized
    frozen = kn.convert_norms(model, "frozen").model
    assert not frozen.get_layer("first").trainable
    assert frozen.layers[1].trainable
    schedule = kn.RenormSchedule.constant(2.0, 1.0)
    renorm = kn.convert_norms(model, "renorm", schedule=schedule).model
    assert renorm.get_layer("first").schedule == schedule
    back = kn.convert_norms(renorm, "keras").model.get_layer("first")
    assert back.renorm_clipping == {"rmax": 2.0, "rmin": 0.5, "dmax": 1.0}
    np.testing.assert_allclose(back.renorm_stddev, np.sqrt(numpy_of(back.moving_variance) + 1e-3), rtol=1e-6)
    assert kn.freeze_norms(kn.convert_norms(model, "none").model) == ()
    instance = kn.convert_norms(model, "instance").report
    assert dict(instance.kept) == {"last": "its input has no positions, of which instance norm takes the statistics"}


@pytest.mark.skipif(not HAS_RENORM, reason="this Keras has no renorm")
def test_there_and_back_is_the_same_model(given):
    model, expected = given
    there = kn.convert_norms(model, "keras_norms").model
    back = kn.convert_norms(there, "keras").model
    np.testing.assert_allclose(numpy_of(back({"image": X})), expected, rtol=1e-5, atol=1e-5)
    assert type(back.get_layer("last")) is layers.BatchNormalization
    assert back.get_layer("last").renorm


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_matched_group_norms_compute_the_batch_norm_where_samples_have_the_moving_statistics(axis, groups):
    """One sample whose moments per channel are the moving statistics."""
    rng = np.random.default_rng(5)
    x = rng.normal(rng.normal(0, 2, 6), rng.uniform(0.5, 2, 6), (1, 50, 6)).astype("float32")
    x = x if axis == -1 else np.moveaxis(x, -1, 1)
    norm = kn.BatchNormalization(axis=axis, name="norm")
    model = randomize(keras.Sequential([keras.Input(x.shape[1:]), norm]))
    kn.recalibrate(model, x)
    new, report = kn.convert_norms(model, "group", groups=groups)
    np.testing.assert_allclose(new(x), model(x), rtol=1e-4, atol=1e-4)
    assert not report.exact
    assert new.layers[0].get_config()["groups"] == groups


def test_matched_is_the_identity_for_one_channel_a_group():
    w = {"gamma": np.array([1.0, -2.0]), "beta": np.array([0.5, 0.0])}
    w |= {"moving_mean": np.array([1.0, 5.0]), "moving_variance": np.array([2.0, 0.1])}
    found = matched(w, 2, 1e-3)
    np.testing.assert_allclose([found["gamma"], found["beta"]], [w["gamma"], w["beta"]])


@pytest.mark.parametrize(
    ("channels", "rank", "groups"),
    [(3, 4, 1), (7, 4, 1), (8, 4, 2), (64, 4, 16), (256, 4, 32), (1, 4, 1), (8, 2, 1), (64, 2, 8), (96, 4, 24)],
)
def test_groups_that_suit_few_channels(channels, rank, groups):
    assert groups_for(channels, rank) == groups


def test_norms_of_the_sample():
    """Group to batch needs statistics; classes of both packages change places exactly; what has no equal stays."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 8))
    x = layers.GroupNormalization(4, name="group")(image)
    x = kn.InstanceNormalization(name="instance")(x)
    x = layers.LayerNormalization(name="layer")(x)
    x = layers.LayerNormalization([1, 2], name="wide")(x)
    x = layers.GroupNormalization(-1, name="each")(x)
    model = randomize(keras.Model(image, layers.LayerNormalization(rms_scaling=True, name="rms")(x)))
    inputs = np.random.default_rng(6).normal(0, 1, (3, 8, 8, 8)).astype("float32")
    for to in ("keras_norms", "keras"):
        new, report = kn.convert_norms(model, to)
        assert report.exact
        np.testing.assert_allclose(new(inputs), model(inputs), rtol=2e-4, atol=2e-4)
    new, report = kn.convert_norms(model, "batch")
    assert [n.norm for n in report.converted] == ["group", "instance", "layer", "each"]
    assert dict(report.kept)["wide"].startswith("it normalizes over the axes [1, 2]")
    assert dict(report.kept)["rms"] == "it does not centre (rms_scaling=True)"
    np.testing.assert_array_equal(new.get_layer("group").gamma, model.get_layer("group").gamma)
    assert all("recalibrate" in n.weights for n in report.converted)
    assert [n.norm for n in kn.recalibrate(new, inputs).norms] == ["group", "instance", "layer", "each"]
    for to in ("frozen", "none", "ghost", "synchronized"):
        assert not kn.convert_norms(model, to, **arguments(to)).report.converted


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("first", {"first"}),
        ("inner/*", {"inner/norm"}),
        (["first", "steps/*"], {"first", "steps/step"}),
        (lambda layer: not getattr(layer, "center", True), {"last"}),
    ],
)
def test_where(where, names, given):
    report = kn.convert_norms(given[0], "layer", where=where).report
    assert {n.norm for n in report.converted} == names


class Block(layers.Layer):
    """A norm that a layer makes in code of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.norm.build(shape)

    def call(self, x):
        return self.norm(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x):
        return self.norm(x)


def subclassed():
    model = Subclassed()
    model(X)
    return model


def test_norms_in_code_of_the_user_are_named():
    model = keras.Sequential([keras.Input((8, 8, 3)), Block(name="block"), layers.BatchNormalization(name="after")])
    model.layers[0].norm.trainable = False
    new, report = kn.convert_norms(randomize(model), "group")
    assert new.layers[0].trainable
    assert not new.layers[0].norm.trainable
    assert dict(report.kept) == {"block/norm": "the layer that it stands in makes it in code of its own"}
    assert type(new.layers[0]) is Block
    np.testing.assert_array_equal(new.layers[0].norm.moving_mean, model.layers[0].norm.moving_mean)


def always_training():
    x = keras.Input((8, 8, 3))
    return keras.Model(x, layers.BatchNormalization(name="norm")(x, training=True))


def test_a_norm_that_is_always_in_training_has_no_scale_and_shift():
    with pytest.raises(ValueError, match="'norm', which is called with training=True"):
        kn.convert_norms(always_training(), "none")
    model = always_training()
    new = kn.convert_norms(model, "keras_norms").model
    np.testing.assert_allclose(new(X), model(X), atol=1e-4)
    assert type(kn.convert_norms(model, "layer").model.layers[1]) is kn.LayerNormalization


REFUSED = [
    (lambda m: kn.convert_norms(subclassed(), "group"), ValueError, r"Subclassed\), which computes its output in Py"),
    (lambda m: kn.convert_norms(m.layers[1], "group"), TypeError, "convert_norms takes a Keras model"),
    (lambda m: kn.convert_norms(m, "spectral"), ValueError, "`to` has to be one of 'batch', 'renorm'"),
    (lambda m: kn.convert_norms(m, "ghost"), ValueError, "needs `virtual_batch_size`"),
    (lambda m: kn.convert_norms(m, "batch", virtual_batch_size=2), ValueError, "goes with to=.ghost. only"),
    (lambda m: kn.convert_norms(m, "group", groups=0), ValueError, "`groups` has to be a positive integer"),
    (lambda m: kn.convert_norms(m, "renorm", schedule=3), TypeError, "`schedule` has to be a RenormSchedule"),
    (lambda m: kn.convert_norms(m, "group", where="frist"), ValueError, "'frist'. Its norms are: first, inner/norm"),
    (lambda m: kn.convert_norms(m, "group", where=[3]), TypeError, "`where` has to be a name, a pattern"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text[:25] for _, _, text in REFUSED])
def test_refusals(call, error, text, given):
    with pytest.raises(error, match=text):
        call(given[0])


def test_groups_that_do_not_divide_the_channels_are_told(given):
    kept = dict(kn.convert_norms(given[0], "group", groups=16).report.kept)
    assert kept["first"] == "its 8 channels do not divide into 16 groups"


def test_freeze_norms():
    model = everything()
    assert kn.freeze_norms(model, where="inner/*") == ("inner/norm",)
    assert [layer.trainable for layer in model.get_layer("inner").layers] == [True, False, True]
    assert len(kn.freeze_norms(model)) == 5
    assert len(kn.freeze_norms(model, frozen=False)) == 5
    assert model.get_layer("inner").layers[1].trainable


def test_a_converted_model_is_saved_trained_and_keeps_what_was_frozen(tmp_path):
    model = randomize(keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()]))
    model.layers[0].trainable = False
    new = kn.convert_norms(model, "none").model
    new.compile("sgd", "mse")
    kernel, gamma = numpy_of(new.layers[0].kernel).copy(), numpy_of(new.layers[1].gamma).copy()
    new.fit(X, np.zeros((5, 6, 6, 4)), verbose=0)
    np.testing.assert_array_equal(new.layers[0].kernel, kernel)
    assert not np.array_equal(new.layers[1].gamma, gamma)
    new.save(tmp_path / "new.keras")
    again = keras.saving.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(again(X), new(X), rtol=1e-6)
