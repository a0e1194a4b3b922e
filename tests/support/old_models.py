"""Models of tf_keras, Keras 2, one for each thing that its files say otherwise than Keras 3 does."""

import json

import h5py
import keras
import numpy as np
import pytest
from versions import HAS_RENORM

tf = pytest.importorskip("tensorflow")
tk = pytest.importorskip("tf_keras")
L = tk.layers
IMAGE, ROWS, FLAT, VIDEO = (8, 8, 4), (6, 4), (5,), (3, 6, 6, 2)


def chain(*layers, shape=IMAGE):
    x = y = tk.Input(shape)
    for layer in layers:
        y = layer(y)
    return tk.Model(x, y)


def base(name="base"):
    return tk.Model(x := tk.Input(IMAGE), L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(x))), name=name)


def version_1(**options):
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization

    return BatchNormalization(**options)


def frozen_in_part():
    net = base()
    net.layers[1].trainable = False
    return chain(net, L.GlobalAveragePooling2D(), L.Dense(2))


def shared_model():
    a, b, net = tk.Input(IMAGE), tk.Input(IMAGE), base()
    return tk.Model([a, b], L.Concatenate()([net(a), net(b), L.Subtract()([net(a), net(b)])]))


def models_as_outputs():
    """Each model is called twice, and makes the outputs itself."""
    a, b = tk.Input(FLAT), tk.Input(FLAT)
    net, sequence = tk.Model(x := tk.Input(FLAT), L.Dense(3)(x)), tk.Sequential([tk.Input(FLAT), L.Dense(2)])
    return tk.Model([a, b], [net(a), net(b), sequence(a), sequence(b)])


def adapted():
    data = np.random.default_rng(5).normal(3, 2, (64, 5)).astype("float32")
    scaled, cut = L.Normalization(), L.Discretization(num_bins=4)
    scaled.adapt(data), cut.adapt(data)
    x = tk.Input(FLAT)
    return tk.Model(x, [L.Dense(3)(scaled(x)), cut(x)])


def states():
    a, b = tk.Input(ROWS), tk.Input(ROWS)
    _, h, c = L.LSTM(3, return_state=True)(a)
    return tk.Model([a, b], L.LSTM(3)(b, initial_state=[h, c]))


def two_way_states():
    x = tk.Input(ROWS)
    _, *found = L.Bidirectional(L.LSTM(2, return_state=True))(x)
    return tk.Model(x, L.Bidirectional(L.LSTM(2))(x, initial_state=found))


def attention():
    a, b = tk.Input(ROWS), tk.Input(ROWS)
    made = [L.MultiHeadAttention(2, 3)(a, value=b), L.Attention(use_scale=True)([a, b]), L.AdditiveAttention()([a, b])]
    return tk.Model([a, b], made)


def tf_functions():
    a, c = tk.Input(FLAT), tk.Input(ROWS)
    made = [1 - a[:, 1:3], tf.concat([a, a], 1), tf.nn.relu(c[:, -1]), tf.reshape(a, (-1, 1, 5)), a * a, a / 3]
    made += [tf.reduce_mean(c, axis=1, keepdims=True), tf.nn.softmax(a), tf.transpose(c, [0, 2, 1]), -a, a**2]
    made += [tf.squeeze(c[:, :1], 1), tf.nn.leaky_relu(a), tf.nn.leaky_relu(a, 0.1), tf.nn.gelu(a), tf.nn.selu(a)]
    made += [tf.math.softplus(a), tf.math.l2_normalize(c, -1), tf.math.rsqrt(a * a), tf.matmul(c, c[:, :4])]
    made += [
        a - np.arange(5.0),
        tf.constant([1.0, 2, 3, 4, 5]) / a,
        tf.concat([a, tf.ones((1, 5))], 0),
        a * [0, 1, 0, 1, 2],
    ]
    return tk.Model([a, c], [*made, tf.stack([a, a], axis=1), tf.expand_dims(a, 1), tf.maximum(a, 0.5)])


def residual():
    x = tk.Input(IMAGE)
    y = L.BatchNormalization(name="block/bn")(L.Conv2D(4, 3, padding="same", name="block/conv")(x))
    return tk.Model(x, L.add([y, x], name="block/out"))


class Odd(tk.initializers.Initializer):
    """An initializer of the user's own."""

    def __call__(self, shape, dtype=None, **kwargs):
        return tf.ones(shape, dtype or "float32")


def of_applications():
    from tf_keras.src.applications.convnext import LayerScale
    from tf_keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = tk.Input(IMAGE)
    return tk.Model(x, CustomScaleLayer(0.3)([x, LayerScale(0.1, 4, name="scale")(x)]))


def shared_across_models():
    """A layer of two models, which a .keras file writes once."""
    x, dense = tk.Input(FLAT), L.Dense(5)
    first = tk.Model(a := tk.Input(FLAT), L.Dense(5)(dense(a)))
    second = tk.Model(b := tk.Input(FLAT), L.Dense(5)(dense(L.Dense(5)(b))))
    return tk.Model(x, L.Dense(5)(dense(second(first(x)))))


CASES = {
    "layers of applications": of_applications,
    "convolutions": lambda: chain(
        L.Conv2D(4, 3), L.DepthwiseConv2D(3), L.SeparableConv2D(4, 2), L.Conv2DTranspose(3, 2)
    ),
    "causal": lambda: chain(L.SeparableConv1D(3, 2, padding="causal", dilation_rate=2), shape=ROWS),
    "dense": lambda: chain(L.Dense(3, activation="swish"), L.Dense(3, activation=L.LeakyReLU(0.2)), shape=FLAT),
    "initializer of its own": lambda: chain(L.Dense(3, kernel_initializer=Odd()), shape=FLAT),
    "locally connected": lambda: chain(
        L.LocallyConnected2D(3, (3, 2), strides=(1, 2), activation="tanh"), L.LocallyConnected2D(2, 2, use_bias=False)
    ),
    "locally connected rows": lambda: chain(L.LocallyConnected1D(3, 2, strides=2), shape=ROWS),
    "locally connected, other kernels": lambda: chain(
        L.LocallyConnected2D(3, (3, 2), strides=(1, 2), implementation=2, padding="same"),
        L.LocallyConnected2D(2, 2, implementation=3, use_bias=False),
        L.LocallyConnected2D(2, (2, 4), strides=(2, 1), implementation=3, padding="same"),
        L.Reshape((-1, 2)),
        L.LocallyConnected1D(3, 4, strides=3, implementation=2),
        L.LocallyConnected1D(3, 3, implementation=3, padding="same"),
    ),
    "locally connected, channels first": lambda: chain(
        L.LocallyConnected2D(3, (3, 2), strides=(1, 2), data_format="channels_first", activation="tanh"),
        L.LocallyConnected2D(2, (2, 4), padding="same", data_format="channels_first", implementation=2),
        L.LocallyConnected2D(4, (2, 1), padding="same", data_format="channels_first", implementation=3),
        L.Reshape((4, -1)),
        L.LocallyConnected1D(3, 4, data_format="channels_first", strides=3),
        shape=(4, 5, 6),
    ),
    "statistics of data": adapted,
    "embedding": lambda: tk.Sequential([L.Embedding(7, 3, input_length=5), L.Flatten(), L.Dense(2)]),
    "LSTM": lambda: chain(L.LSTM(3), shape=ROWS),
    "LSTM, hard_sigmoid": lambda: chain(L.LSTM(3, recurrent_activation="hard_sigmoid"), shape=ROWS),
    "GRU before reset_after": lambda: chain(L.GRU(3, reset_after=False, use_bias=False), shape=ROWS),
    "ConvLSTM2D": lambda: chain(L.ConvLSTM2D(2, 2), shape=VIDEO),
    "Bidirectional": lambda: chain(L.Bidirectional(L.GRU(3, recurrent_activation="hard_sigmoid")), shape=ROWS),
    "Bidirectional of one that goes back": lambda: chain(
        L.Bidirectional(L.LSTM(3, go_backwards=True, return_sequences=True)),
        L.Bidirectional(L.GRU(2, go_backwards=True), merge_mode="sum"),
        shape=ROWS,
    ),
    "cells": lambda: chain(L.RNN([L.GRUCell(2), L.LSTMCell(2)]), shape=ROWS),
    "initial states": states,
    "initial states of two ways": two_way_states,
    "hard_sigmoid": lambda: chain(L.Conv2D(3, 2, activation="hard_sigmoid"), L.Activation("hard_sigmoid")),
    "batch norm": lambda: chain(L.BatchNormalization(), L.BatchNormalization(axis=1, scale=False)),
    "batch norm over two axes": lambda: chain(
        L.BatchNormalization(axis=[1, 3], epsilon=0.01), L.BatchNormalization(axis=[3, 1])
    ),
    "batch norm over all axes": lambda: chain(L.BatchNormalization(axis=[1, 2, 3])),
    "synchronized batch norm": lambda: chain(L.experimental.SyncBatchNormalization()),
    "virtual batches": lambda: chain(version_1(virtual_batch_size=2)),
    **({"renorm": lambda: chain(version_1(renorm=True))} if HAS_RENORM else {}),
    "layer norms": lambda: chain(L.LayerNormalization(), L.LayerNormalization(axis=[1, 2], center=False, scale=False)),
    "layer norms, axes out of order": lambda: chain(
        *[L.LayerNormalization(axis=axis) for axis in ([2, 1], [-1, 1], [3, 2])], shape=(3, 4, 5)
    ),
    "axes without weights": lambda: chain(L.Softmax(axis=[1, 2]), L.UnitNormalization(axis=[1, 2]), shape=ROWS),
    "group norm": lambda: chain(L.GroupNormalization(groups=2)),
    "activations": lambda: chain(L.ThresholdedReLU(0.4), L.LeakyReLU(0.1), L.PReLU(), L.ELU(0.7), shape=FLAT),
    "random layers": lambda: chain(L.RandomFlip(), L.RandomRotation(0.1), L.SpatialDropout2D(0.2), L.Rescaling(0.5, 1)),
    "pooling": lambda: chain(L.MaxPooling2D(), L.UpSampling2D(), L.GlobalAveragePooling2D()),
    "time distributed": lambda: chain(L.TimeDistributed(L.Conv2D(3, 2)), L.TimeDistributed(L.Flatten()), shape=VIDEO),
    "time distributed model": lambda: chain(L.TimeDistributed(base()), shape=(2, *IMAGE)),
    "Sequential": lambda: tk.Sequential([L.Conv2D(3, 2, input_shape=IMAGE), L.BatchNormalization(), L.Flatten()]),
    "Sequential of a backbone": lambda: tk.Sequential([base(), L.GlobalAveragePooling2D(), L.Dense(2)]),
    "Functional over a backbone": lambda: chain(base(), L.GlobalAveragePooling2D(), L.Dense(2)),
    "backbone as the last": lambda: chain(L.Conv2D(4, 1), base()),
    "three models deep": lambda: chain(
        tk.Sequential([tk.Input(IMAGE), tk.Sequential([base(), L.Flatten()])]), L.Dense(2)
    ),
    "partly frozen": frozen_in_part,
    "shared model": shared_model,
    "models as outputs": models_as_outputs,
    "attention": attention,
    "functions of TensorFlow": tf_functions,
    "'/' in names": residual,
    "dict of outputs": lambda: tk.Model(x := tk.Input(FLAT), {"p": L.Dense(2)(x), "q": L.Dense(3)(x)}),
    "mixed precision": lambda: chain(L.Conv2D(4, 3, dtype=tk.mixed_precision.Policy("mixed_float16")), L.Flatten()),
}


def inputs_of(model):
    rng = np.random.default_rng(1)
    drawn = [rng.normal(size=(2, *x.shape[1:])).astype("float32") for x in model.inputs]
    if any(isinstance(layer, L.Embedding) for layer in model.layers):
        drawn = [np.abs(x * 3).astype("int32") % 7 for x in drawn]
    return drawn if len(drawn) > 1 else drawn[0]


# What layers computed when they were adapted.
OF_DATA = ("mean:0", "variance:0", "count:0", "summary:0")


def write(model, path):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name.rpartition("/")[2] in OF_DATA:
            continue
        low = 0.5 if "variance" in weight.name or "stddev" in weight.name else -0.5
        weight.assign(rng.uniform(low, low + 1, weight.shape))
    model.save(path)
    return path


def assert_same(got, want, tolerance=1e-5):
    for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(want), strict=True):
        assert a.shape == b.shape
        assert np.abs(np.subtract(a, b)).max() <= tolerance * np.abs(b).max()


def edited(path, edit, **attributes):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"] = json.dumps(config).encode()
        for key, value in attributes.items():
            file.attrs[key] = value
    return path
