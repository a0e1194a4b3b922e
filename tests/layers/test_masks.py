"""Masked positions do not enter the statistics, whatever they hold. Empty and fully masked batches change no weight."""

import keras
import numpy as np
import pytest
from layer_cases import BN, BRN, GN, IN, OPEN, inputs, oracle_inference, oracle_training, randomize, weight_values

import keras_norms

PADDINGS = (0.0, 0.1, 1e6)
# layer, arguments, input shape, mask shape
MASKED = (
    (BN, {}, (4, 7, 6), (4, 7)),
    (BN, {"axis": 1}, (4, 6, 7), (4, 7)),
    (BN, {}, (4, 7, 2, 6), (4, 7)),
    (BN, {}, (4, 3, 5, 6), (4, 3, 5)),
    (BN, {}, (9, 6), (9,)),
    (BRN, {"schedule": OPEN}, (4, 7, 6), (4, 7)),
    (BRN, {"schedule": OPEN, "axis": 1}, (4, 6, 7), (4, 7)),
    (BRN, {"schedule": OPEN}, (4, 7, 2, 6), (4, 7)),
    (GN, {"groups": 2}, (4, 7, 6), (4, 7)),
    (GN, {"groups": 3, "axis": 1}, (4, 6, 7), (4, 7)),
    (GN, {"groups": -1}, (4, 7, 2, 6), (4, 7)),
    (IN, {}, (4, 7, 6), (4, 7)),
    (IN, {"axis": 1}, (4, 6, 7), (4, 7)),
)


def _id(row):
    return f"{row[0].__name__}{row[2]}".replace(" ", "") if isinstance(row, tuple) and len(row) == 4 else str(row)


def _setting(row, padding, seed=0):
    layer, arguments, shape, mask_shape = row
    layer = randomize(layer(**arguments), shape)
    mask = np.random.default_rng(seed).random(mask_shape) < 0.6
    mask.reshape(-1)[0] = True
    axis = layer.axis % len(shape)
    wide = np.expand_dims(mask, axis) if mask.ndim > axis else mask
    wide = np.broadcast_to(wide.reshape(wide.shape + (1,) * (len(shape) - wide.ndim)), shape)
    return layer, np.where(wide, inputs(shape, seed=seed), np.float32(padding)), mask, wide


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("row", MASKED, ids=_id)
def test_against_the_oracle(row, padding):
    layer, x, mask, wide = _setting(row, padding)
    if isinstance(layer, BN):
        oracle = oracle_training(layer)
        found, expected = np.asarray(layer(x, mask=mask, training=True)), oracle(x, mask)
        for name in ("moving_mean", "moving_variance"):
            np.testing.assert_allclose(weight_values(layer)[name], getattr(oracle, name), rtol=0, atol=2e-5)
    else:
        found, expected = np.asarray(layer(x, mask=mask)), oracle_inference(layer, x, mask)
    np.testing.assert_allclose(found[wide], expected[wide], rtol=0, atol=2e-5)


@pytest.mark.parametrize("row", MASKED, ids=_id)
def test_padding_changes_nothing(row):
    found = []
    for padding in (*PADDINGS, np.nan, np.inf):
        layer, x, mask, wide = _setting(row, padding)
        call = {"training": True} if isinstance(layer, BN) else {}
        found.append([np.asarray(layer(x, mask=mask, **call))[wide], *layer.get_weights()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_keras_fails_where_masks_are_honoured_here():
    """Keras' group normalization takes the padding into its statistics."""

    class Padded(keras.layers.Layer):
        """Masks the second half of the positions; unlike Masking, it does not set them to zero."""

        def call(self, inputs):
            return inputs

        def compute_mask(self, *_):
            return keras.ops.convert_to_tensor([[True] * 3 + [False] * 3] * 2)

    twin, ours = keras.layers.GroupNormalization(2), GN(2)
    assert twin.supports_masking
    moved = {twin: [], ours: []}
    for padding in (0.0, 100.0):
        x = np.full((2, 6, 4), padding, "float32")
        x[:, :3] = inputs((2, 3, 4))
        for layer, found in moved.items():
            found.append(np.asarray(layer(Padded()(x)))[:, :3])
    assert np.abs(np.subtract(*moved[twin])).max() > 0.1
    np.testing.assert_array_equal(*moved[ours])


@pytest.mark.parametrize("row", MASKED, ids=_id)
def test_nothing_to_count(row):
    layer, x, mask, _ = _setting(row, 0.5)
    before = layer.get_weights()
    call = {"training": True} if isinstance(layer, BN) else {}
    y = np.asarray(layer(x, mask=np.zeros_like(mask), **call))
    assert np.isfinite(y).all()
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if isinstance(layer, BN):
        np.testing.assert_allclose(y, oracle_inference(layer, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("epsilon", [1e-3, 0.0])
@pytest.mark.parametrize("row", MASKED, ids=_id)
def test_gradients_where_nothing_counts(row, epsilon):
    """A condition replaces the statistics of nothing; their gradient, which is not finite, must not pass it."""
    import tensorflow as tf

    layer, x, mask, _ = _setting((row[0], {**row[1], "epsilon": epsilon}, *row[2:]), 0.5)
    call = {"training": True} if isinstance(layer, BN) else {}
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = layer(x, mask=np.zeros_like(mask), **call)
    for gradient in tape.gradient(y, [x, *layer.trainable_weights], output_gradients=tf.sin(x)):
        assert np.isfinite(gradient).all()


def test_a_fully_masked_sample_gives_beta():
    layer = randomize(keras_norms.GroupNormalization(2), (2, 5, 4))
    mask = np.array([[True] * 5, [False] * 5])
    y = np.asarray(layer(inputs((2, 5, 4), offset=1e3), mask=mask))
    np.testing.assert_array_equal(y[1], np.broadcast_to(layer.beta.numpy(), (5, 4)))


@pytest.mark.parametrize("shape", [(0, 6), (0, 5, 6), (3, 0, 6), (0, 3, 5, 6)], ids=str)
@pytest.mark.parametrize(
    ("layer", "arguments"),
    [(BN, {}), (BRN, {"schedule": OPEN}), (BN, {"axis": -1, "dtype": "float64"}), (BN, {"virtual_batch_size": 2})],
)
@pytest.mark.parametrize("mode", ["eager", "graph", "dynamic"])
def test_an_empty_batch(layer, arguments, shape, mode):
    import tensorflow as tf

    layer = randomize(layer(**arguments), (1, *shape[1:]))
    before = layer.get_weights()
    run = lambda x: layer(x, training=True)  # noqa: E731
    if mode == "graph":
        run = tf.function(run, autograph=False)
    elif mode == "dynamic":
        free = [None if a == 0 or a == 1 else n for a, n in enumerate(shape)]
        if len(shape) == 2:
            free = [None, 6]
        run = tf.function(run, input_signature=[tf.TensorSpec(free, layer.compute_dtype)], autograph=False)
    y = run(tf.zeros(shape, layer.compute_dtype))
    assert tuple(y.shape) == shape
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", [GN(2), IN(), keras_norms.LayerNormalization()], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4)], ids=str)
def test_an_empty_input_of_a_sample_layer(layer, shape):
    layer = type(layer).from_config(layer.get_config())
    assert tuple(layer(np.zeros(shape, "float32")).shape) == shape


@pytest.mark.parametrize("layer", [BN, BRN])
@pytest.mark.parametrize("source", ["Masking", "Embedding"])
def test_through_keras_masks(layer, source):
    """The mask that a model computes has the same effect as the same mask given as an argument."""
    arguments = {"schedule": OPEN} if layer is BRN else {}
    lengths = np.array([3, 6, 1, 5])
    mask = np.arange(6) < lengths[:, None]
    if source == "Masking":
        x = np.where(mask[..., None], inputs((4, 6, 3), offset=2.0), np.float32(0))
        stem = keras.layers.Masking(mask_value=0.0)
    else:
        x = np.where(mask, np.arange(1, 25).reshape(4, 6), 0)
        stem = keras.layers.Embedding(25, 3, mask_zero=True)
    inside, by_hand = layer(**arguments), layer(**arguments)
    model = keras.Sequential([stem, inside])
    model(x, training=True)
    by_hand(keras.ops.convert_to_numpy(stem(x)), mask=mask, training=True)
    for a, b in zip(inside.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert inside.moving_mean.numpy().any()


@pytest.mark.parametrize("layer", [GN(groups=1), IN()], ids=lambda v: type(v).__name__)
def test_sample_layers_through_keras_masks(layer):
    x = inputs((2, 6, 3))
    x[:, 4:] = 0.0
    model = keras.Sequential([keras.layers.Masking(mask_value=0.0), type(layer).from_config(layer.get_config())])
    short = keras.Sequential([type(layer).from_config(layer.get_config())])
    np.testing.assert_allclose(np.asarray(model(x))[:, :4], np.asarray(short(x[:, :4])), rtol=0, atol=1e-6)


def test_a_mask_over_the_leading_axes_of_a_channels_first_input():
    """A mask of `Masking` lies over the first two axes. It is taken so if its sizes do not fit the positions."""
    x, mask = inputs((4, 5, 3)), np.random.default_rng(0).random((4, 5)) < 0.7
    layer = BN(axis=1, epsilon=1e-5, momentum=0.0)
    layer(x, mask=mask, training=True)
    for step in range(5):
        chosen = x[mask[:, step], step]
        np.testing.assert_allclose(layer.moving_mean[step], chosen.mean(), rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance[step], chosen.var(), rtol=1e-5)


def test_a_mask_passes_on():
    class Next(keras.layers.Layer):
        def call(self, inputs, mask=None):
            received.append(np.asarray(mask))
            return inputs

        def compute_mask(self, _, mask=None):
            return mask

    x = inputs((2, 6, 3))
    x[:, 4:] = 0.0
    for layer in (BN(), BRN(), GN(3), IN(), keras_norms.LayerNormalization()):
        received = []
        Next()(layer(keras.layers.Masking(mask_value=0.0)(x)))
        np.testing.assert_array_equal(received, [[[True] * 4 + [False] * 2] * 2])


@pytest.mark.parametrize("shape", [(4, 5), (5,), (4, 7, 6, 1), (3, 7)])
def test_a_mask_of_the_wrong_shape(shape):
    with pytest.raises(
        ValueError, match=r"`mask` has to have the sizes of the input without its channel axis\. Received"
    ):
        BN()(inputs((4, 7, 6)), mask=np.ones(shape, bool), training=True)
