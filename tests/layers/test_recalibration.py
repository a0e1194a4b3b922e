"""recalibrate: pooled moments against NumPy in float64, every kind of data, and what is left alone."""

import keras
import numpy as np
import pytest
from keras import layers
from versions import HAS_RENORM, RENORM

from keras_norms import BatchNormalization, BatchRenormalization, GroupNormalization, recalibrate
from keras_norms.callbacks import Recalibrate


def images(count=19, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, (count, 6, 6, 3)).astype("float32")


def numpy_of(weight):
    return np.asarray(keras.ops.convert_to_numpy(weight), "float64")


def assert_pooled(norm, x, tolerance=1e-6):
    rows = np.asarray(x, "float64").reshape(-1, x.shape[-1])
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    np.testing.assert_allclose(numpy_of(norm.moving_mean), mean, rtol=tolerance, atol=tolerance * rows.std())
    np.testing.assert_allclose(numpy_of(norm.moving_variance), variance, rtol=tolerance)


def one_norm(norm=None):
    return keras.Sequential([keras.Input((6, 6, 3)), norm or BatchNormalization(name="norm")])


def deep(seed=0):
    """Norms of every class, one in a nested model."""
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3)(BatchNormalization(name="first")(x))
    x = layers.ReLU()(layers.BatchNormalization(name="second")(x))
    inner = [keras.Input((4, 4, 4)), layers.Conv2D(5, 3), BatchRenormalization(name="third"), layers.ReLU()]
    x = layers.Flatten()(keras.Sequential(inner, name="inner")(x))
    return keras.Model(image, layers.Dense(2)(layers.BatchNormalization(**RENORM, name="last")(x)))


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return images()[8 * index : 8 * index + 8], np.zeros(8)


def tf_data():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((images(), np.zeros(19))).batch(8)


def pieces():
    return (images()[start : start + 8] for start in (0, 8, 16))


DATA = {
    "array": images,
    "inputs and targets": lambda: (images(), np.zeros(19)),
    "generator": pieces,
    "list of batches": lambda: list(pieces()),
    "batches with targets": lambda: [(x, np.zeros(len(x))) for x in pieces()],
    "PyDataset": Sequence,
    "tf.data": tf_data,
}


@pytest.mark.parametrize("kind", DATA)
def test_moments_are_pooled_over_ragged_batches_of_any_kind_of_data(kind):
    """19 samples in batches of 8, 8 and 3: the mean over batches would be another number."""
    model = one_norm()
    report = recalibrate(model, DATA[kind](), batch_size=8)
    assert_pooled(model.layers[0], images())
    assert (report.batches, report.samples, report.norms[0].positions) == (3, 19, 19 * 36)


def test_far_from_zero_and_float16():
    x = images() + 1e4
    model = one_norm(BatchNormalization(dtype="mixed_float16"))
    recalibrate(model, x, batch_size=8)
    assert_pooled(model.layers[0], x)


@pytest.mark.parametrize("sequential", [False, True])
def test_deep_norms_get_what_stands_before_them(sequential):
    """In sequence, behind norms in inference; in one pass, behind norms that use the statistics of the batch."""
    model, x = deep(), images(24)
    report = recalibrate(model, x, batch_size=8 if sequential else 24, sequential=sequential)
    assert [n.norm for n in report.norms] == ["first", "second", "inner/third", "last"]
    # With one batch, its statistics are the new ones, so that both ways agree.
    first, second = model.get_layer("first"), model.get_layer("second")
    assert_pooled(first, x)
    behind = keras.Model(model.input, second.input)(x)
    assert_pooled(second, behind, 1e-6 if sequential else 1e-5)
    last = model.get_layer("last")
    assert_pooled(last, keras.Model(model.input, last.input)(x), 1e-6 if sequential else 1e-5)
    if HAS_RENORM:
        np.testing.assert_allclose(last.moving_stddev**2, last.moving_variance + last.epsilon, rtol=1e-5)
        np.testing.assert_array_equal(last.renorm_mean, last.moving_mean)
    assert int(model.get_layer("inner").layers[1].step) == 0


def test_in_sequence_batches_of_two_give_what_one_batch_gives():
    models = [deep(), deep()]
    for model, size in zip(models, (2, 24), strict=True):
        recalibrate(model, images(24), batch_size=size, sequential=True)
    for a, b in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", [BatchNormalization, layers.BatchNormalization])
def test_padding_does_not_count(norm):
    model = keras.Sequential([keras.Input((5, 3)), layers.Masking(), norm()])
    x = np.random.default_rng(1).normal(2.0, 1.0, (7, 5, 3)).astype("float32")
    x[::2, 3:] = 0.0
    report = recalibrate(model, x, batch_size=3)
    counted = x.reshape(-1, 3)[np.any(x.reshape(-1, 3) != 0, axis=1)]
    assert_pooled(model.layers[-1], counted)
    assert report.norms[0].positions == len(counted)


def test_channels_first_shared_wrapped_and_several_inputs():
    shared, first = BatchNormalization(), BatchNormalization(axis=1)
    inside = BatchNormalization()
    a, b = keras.Input((4, 3), name="a"), keras.Input((4, 3), name="b")
    outputs = [shared(a), shared(b), first(a), layers.TimeDistributed(inside)(b)]
    model = keras.Model([a, b], outputs)
    rng = np.random.default_rng(2)
    x = {"a": rng.normal(1, 2, (9, 4, 3)).astype("float32"), "b": rng.normal(5, 1, (9, 4, 3)).astype("float32")}
    for data in (x, [x["a"], x["b"]]):
        recalibrate(model, data, batch_size=4, sequential=True)
        assert_pooled(shared, np.concatenate([x["a"], x["b"]]))
        assert_pooled(first, np.moveaxis(x["a"], 1, -1))
        assert_pooled(inside, x["b"])


class Own(keras.Model):
    """A norm in a layer of the user's own, and a class of norm of the user's own."""

    class Changed(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return inputs

    def __init__(self):
        super().__init__()
        self.norm, self.changed = BatchNormalization(name="inside"), self.Changed(name="changed")

    def call(self, x):
        return self.changed(self.norm(x))


def test_what_is_frozen_unknown_or_unreached_is_left_alone():
    model = Own()
    model(images(2))
    before = numpy_of(model.norm.moving_mean)
    report = recalibrate(model, images())
    assert [n.norm for n in report.norms] == ["inside"]
    assert report.left == (("changed", "its class Changed has a call of its own"),)
    assert "changed     its class Changed has a call of its own" in str(report)
    assert not np.array_equal(before, model.norm.moving_mean)
    frozen = deep()
    frozen.get_layer("second").trainable = False
    before = frozen.get_layer("second").get_weights()
    report = recalibrate(frozen, images())
    assert report.left == (("second", "it is frozen (trainable=False)"),)
    for a, b in zip(before, frozen.get_layer("second").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert str(recalibrate(one_norm(GroupNormalization(3)), images())) == "There are no batch norms to recalibrate."
    masked = keras.Sequential([keras.Input((5, 3)), layers.Masking(), BatchNormalization(name="norm")])
    assert recalibrate(masked, np.zeros((4, 5, 3))).left == (("norm", "no position of the data reaches it"),)


def endless():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(images()).batch(8).repeat()


REFUSED = [
    (lambda: recalibrate(BatchNormalization(), images()), TypeError, "recalibrate takes a Keras model"),
    (lambda: recalibrate(keras.Sequential([BatchNormalization()]), images()), ValueError, "which is not built"),
    (lambda: recalibrate(one_norm(), 3), TypeError, "`data` has to be an array, a dict.*Received: int"),
    (lambda: recalibrate(one_norm(), images()[:0]), ValueError, "at least one batch"),
    (lambda: recalibrate(one_norm(), iter(())), ValueError, "at least one batch"),
    (lambda: recalibrate(one_norm(), endless()), ValueError, "`data` has to end"),
    (lambda: recalibrate(one_norm(), images(), batches=0), ValueError, "`batches` has to be at least 1"),
    (lambda: recalibrate(one_norm(), images(), batch_size=0), ValueError, "`batch_size` has to be at least 1"),
    (lambda: recalibrate(one_norm(), images(), sequential=1), TypeError, "`sequential` has to be True or False"),
    (lambda: recalibrate(deep(), pieces(), sequential=True), ValueError, "read once for each of 4 norms.*generator"),
    (lambda: recalibrate(one_norm(), np.full((2, 6, 6, 3), np.inf)), ValueError, "finite.*at the norm 'norm'"),
    (lambda: recalibrate(one_norm(), {"a": np.zeros(3), "b": np.zeros(4)}), ValueError, r"same length.*\[3, 4\]"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text[:30] for _, _, text in REFUSED])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_failure_leaves_the_model_as_it_was():
    model = deep()
    before = model.get_weights()
    with pytest.raises(ZeroDivisionError):
        recalibrate(model, (1 // (2 - i) * images(4) for i in range(3)))
    with pytest.raises(ValueError, match="finite"):
        recalibrate(model, [images(4), np.full((4, 6, 6, 3), np.nan)], sequential=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all("call" not in vars(layer) for layer in model.layers)
    model.layers[2].bias.assign([np.nan] * 4)
    with pytest.raises(ValueError, match="at the norm 'second'"):  # when the first has its new statistics already
        recalibrate(model, images(4), sequential=True)
    np.testing.assert_array_equal(model.get_layer("first").moving_mean, np.zeros(3))


def test_batches_ends_what_has_no_end():
    model = one_norm()
    assert recalibrate(model, endless(), batches=2).samples == 16
    assert_pooled(model.layers[0], images()[:16])


def test_the_callback_measures_the_averaged_weights():
    """`fit` puts the average in place before: what is measured then is what a second measurement finds."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), BatchNormalization(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x = images()[:, 0, 0]
    callback = Recalibrate(x, batch_size=8)
    model.fit(x, np.ones((19, 1)), batch_size=8, verbose=0, callbacks=[callback])
    found = model.get_weights()
    again = recalibrate(model, x, batch_size=8)
    for a, b in zip(found, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert max(n.mean_moved for n in again.norms) < 1e-6 < max(n.mean_moved for n in callback.report.norms)
