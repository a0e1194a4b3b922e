"""The models of `old_files.py`: every stock layer of Keras 2, nested forms, and its applications on small images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as tk

L, Input = tk.layers, tk.Input
IMAGE, ROWS, FLAT, VOLUME = (8, 8, 4), (6, 4), (5,), (4, 4, 4, 2)
VIDEO = (3, 6, 6, 2)

# Layers of one input: the class, the shape, its arguments.
LAYERS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    *[(f"Conv{n}D", shape, {"filters": 3, "kernel_size": 2}) for n, shape in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    *[(f"Conv{n}DTranspose", s, {"filters": 3, "kernel_size": 2}) for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    *[(f"DepthwiseConv{n}D", s, {"kernel_size": 2}) for n, s in ((1, ROWS), (2, IMAGE))],
    *[(f"SeparableConv{n}D", s, {"filters": 3, "kernel_size": 2}) for n, s in ((1, ROWS), (2, IMAGE))],
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": 3, "groups": 2, "dilation_rate": 2, "padding": "same"}),
    ("Conv1D", ROWS, {"filters": 4, "kernel_size": 3, "padding": "causal", "kernel_regularizer": "l2"}),
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": 3, "activation": "hard_sigmoid", "strides": 2}),
    ("Dense", FLAT, {"units": 3, "activation": "swish", "kernel_constraint": "max_norm"}),
    ("Dense", FLAT, {"units": 3, "activation": "gelu", "kernel_initializer": "he_normal"}),
    ("Dense", ROWS, {"units": 3, "activation": L.LeakyReLU(0.2)}),
    ("EinsumDense", ROWS, {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}),
    ("LocallyConnected1D", ROWS, {"filters": 3, "kernel_size": 2}),
    ("LocallyConnected2D", IMAGE, {"filters": 3, "kernel_size": 2, "strides": 2}),
    ("LocallyConnected1D", ROWS, {"filters": 3, "kernel_size": 2, "padding": "same", "implementation": 2}),
    ("LocallyConnected2D", IMAGE, {"filters": 3, "kernel_size": 3, "padding": "same", "implementation": 3}),
    ("LocallyConnected1D", ROWS, {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}),
    ("LocallyConnected2D", IMAGE, {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}),
    ("SeparableConv1D", ROWS, {"filters": 3, "kernel_size": 2, "padding": "causal", "dilation_rate": 2}),
    ("Embedding", FLAT, {"input_dim": 7, "output_dim": 3}),
    ("Embedding", FLAT, {"input_dim": 7, "output_dim": 3, "input_length": 5, "mask_zero": True}),
    *[(kind, ROWS, {"units": 3}) for kind in ("LSTM", "GRU", "SimpleRNN")],
    ("LSTM", ROWS, {"units": 3, "recurrent_activation": "hard_sigmoid", "return_sequences": True}),
    ("GRU", ROWS, {"units": 3, "recurrent_activation": "hard_sigmoid", "go_backwards": True}),
    ("GRU", ROWS, {"units": 3, "reset_after": False, "use_bias": False}),
    ("LSTM", ROWS, {"units": 3, "unroll": True, "implementation": 1, "unit_forget_bias": False}),
    *[(f"ConvLSTM{n}D", s, {"filters": 2, "kernel_size": 2}) for n, s in ((1, (3, 6, 2)), (2, VIDEO))],
    ("ConvLSTM2D", VIDEO, {"filters": 2, "kernel_size": 2, "recurrent_activation": "sigmoid"}),
    ("BatchNormalization", IMAGE, {}),
    ("BatchNormalization", IMAGE, {"axis": 1, "scale": False}),
    ("BatchNormalization", IMAGE, {"axis": [1, 3], "epsilon": 0.01}),
    ("BatchNormalization", FLAT, {"center": False}),
    ("BatchNormalization", IMAGE, {"synchronized": True}),
    ("LayerNormalization", IMAGE, {"axis": [1, 2, 3]}),
    ("LayerNormalization", IMAGE, {"axis": [1, 2], "center": False, "scale": False}),
    ("LayerNormalization", IMAGE, {"axis": [3, 1]}),
    ("LayerNormalization", ROWS, {}),
    ("GroupNormalization", IMAGE, {"groups": 2}),
    ("UnitNormalization", ROWS, {"axis": [1, 2]}),
    ("SpectralNormalization", FLAT, {"layer": L.Dense(3)}),
    ("Normalization", FLAT, {"mean": [1.0, 2, 3, 4, 5], "variance": [1.0, 2, 3, 4, 5]}),
    ("Softmax", ROWS, {"axis": [1, 2]}),
    ("Softmax", ROWS, {}),
    ("ReLU", FLAT, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    ("LeakyReLU", FLAT, {"alpha": 0.1}),
    ("PReLU", IMAGE, {"shared_axes": [1, 2]}),
    ("ELU", FLAT, {"alpha": 0.7}),
    ("ThresholdedReLU", FLAT, {"theta": 0.4}),
    *[("Activation", FLAT, {"activation": name}) for name in ("hard_sigmoid", "relu", "selu", "softsign", "mish")],
    ("Activation", IMAGE, {"activation": "relu6"}),
    *[(f"{kind}Pooling{n}D", s, {}) for kind in ("Max", "Average") for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    *[
        (f"Global{kind}Pooling{n}D", s, {"keepdims": n == 2})
        for kind in ("Max", "Average")
        for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))
    ],
    *[(f"ZeroPadding{n}D", s, {}) for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    *[(f"UpSampling{n}D", s, {}) for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    ("UpSampling2D", IMAGE, {"interpolation": "bilinear"}),
    *[(f"Cropping{n}D", s, {}) for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    ("Flatten", IMAGE, {}),
    ("Reshape", IMAGE, {"target_shape": (-1, 2)}),
    ("Permute", IMAGE, {"dims": (3, 1, 2)}),
    ("RepeatVector", FLAT, {"n": 3}),
    ("Masking", ROWS, {}),
    ("ActivityRegularization", FLAT, {"l2": 0.1}),
    *[(kind, FLAT, {"rate": 0.3}) for kind in ("Dropout", "AlphaDropout", "GaussianDropout")],
    ("GaussianNoise", FLAT, {"stddev": 0.3}),
    *[(f"SpatialDropout{n}D", s, {"rate": 0.3}) for n, s in ((1, ROWS), (2, IMAGE), (3, VOLUME))],
    ("Rescaling", IMAGE, {"scale": 0.5, "offset": 1.0}),
    ("Rescaling", IMAGE, {"scale": [0.5, 1.0, 2.0, 3.0]}),
    ("Resizing", IMAGE, {"height": 5, "width": 6}),
    ("CenterCrop", IMAGE, {"height": 4, "width": 4}),
    ("RandomFlip", IMAGE, {}),
    ("RandomRotation", IMAGE, {"factor": 0.1}),
    ("RandomZoom", IMAGE, {"height_factor": 0.1}),
    ("RandomTranslation", IMAGE, {"height_factor": 0.1, "width_factor": 0.1}),
    ("RandomContrast", IMAGE, {"factor": 0.1}),
    ("RandomBrightness", IMAGE, {"factor": 0.1}),
    ("Discretization", FLAT, {"bin_boundaries": [-1.0, 0.0, 1.0]}),
    ("TimeDistributed", VIDEO, {"layer": L.Conv2D(3, 2)}),
    ("TimeDistributed", (3, 5), {"layer": L.BatchNormalization()}),
    ("Bidirectional", ROWS, {"layer": L.LSTM(3, return_sequences=True)}),
    ("Bidirectional", ROWS, {"layer": L.GRU(3, recurrent_activation="hard_sigmoid"), "merge_mode": "sum"}),
    ("RNN", ROWS, {"cell": L.LSTMCell(3)}),
    ("Identity", FLAT, {}),
]


def base(name: str = "base", top: bool = False) -> Any:
    a = Input(IMAGE)
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(a)))
    return tk.Model(a, L.GlobalAveragePooling2D()(y) if top else y, name=name)


def shared() -> Any:
    a, b, dense = Input(FLAT), Input(FLAT), L.Dense(3)
    return tk.Model([a, b], L.Add()([dense(a), dense(b)]))


def shared_model() -> Any:
    a, b, net = Input(IMAGE), Input(IMAGE), base(top=True)
    return tk.Model([a, b], L.Concatenate()([net(a), net(b), L.Subtract()([net(a), net(b)])]))


def functional(*layers: Any, shape: tuple[int, ...] = IMAGE) -> Any:
    a = y = Input(shape)
    for layer in layers:
        y = layer(y)
    return tk.Model(a, y)


def residual() -> Any:
    a = Input(IMAGE)
    y = L.BatchNormalization(name="a/bn")(L.Conv2D(4, 3, padding="same", name="a/conv")(a))
    return tk.Model(a, L.Activation("relu")(L.add([y, a])))


def two_outputs() -> Any:
    a = Input(FLAT)
    return tk.Model(a, [L.Dense(2, name="p")(a), L.Dense(3, name="q")(a)])


def dict_outputs() -> Any:
    a = Input(FLAT)
    return tk.Model(a, {"p": L.Dense(2)(a), "q": L.Dense(3)(a)})


def frozen() -> Any:
    net = base(top=True)
    net.trainable = False
    return functional(net, L.Dense(2))


def partly_frozen() -> Any:
    net = base(top=True)
    net.layers[1].trainable = False
    return functional(net, L.Dense(2))


def attention() -> Any:
    a, b = Input(ROWS), Input(ROWS)
    y = L.MultiHeadAttention(2, 3)(a, value=b)
    return tk.Model([a, b], L.LayerNormalization()(L.Add()([a, y])))


def attentions() -> Any:
    a, b = Input(ROWS), Input(ROWS)
    return tk.Model([a, b], [L.Attention(use_scale=True)([a, b]), L.AdditiveAttention()([a, b])])


def encoder() -> Any:
    a, b = Input(ROWS), Input(ROWS)
    _, h, c = L.LSTM(3, return_state=True)(a)
    return tk.Model([a, b], L.LSTM(3)(b, initial_state=[h, c]))


def masked() -> Any:
    a = Input(FLAT, dtype="int32")
    return tk.Model(a, L.LSTM(3)(L.Embedding(7, 4, mask_zero=True)(a)))


def masked_merges() -> Any:
    """Merges of which some inputs are masked, and layers that drop a mask."""
    a, b = Input(FLAT, dtype="int32"), Input(FLAT, dtype="int32")
    words, plain = L.Embedding(7, 4, mask_zero=True), L.Embedding(7, 4)
    kinds = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    made = [getattr(L, kind)()([words(a), other(b)]) for kind in kinds for other in (words, plain)]
    return tk.Model([a, b], [L.GlobalAveragePooling1D()(y) for y in (*made, L.Rescaling(2.0)(words(a)))])


def sentences() -> Any:
    """Words within sentences, both masked, as a hierarchical attention network has them."""
    a, sentence = Input((3, 4), dtype="int32"), Input((4,), dtype="int32")
    encoder = tk.Model(sentence, L.Bidirectional(L.GRU(3))(L.Embedding(7, 4, mask_zero=True)(sentence)))
    words = L.TimeDistributed(L.LSTM(3))(L.Embedding(7, 4, mask_zero=True)(a))
    return tk.Model(a, [L.GRU(2)(L.TimeDistributed(encoder)(a)), L.GRU(2)(words)])


def translator() -> Any:
    """A masked decoder that starts from the states of a masked encoder and attends to its outputs."""
    a, b = Input(FLAT, dtype="int32"), Input(FLAT, dtype="int32")
    y, h, c = L.LSTM(4, return_sequences=True, return_state=True)(L.Embedding(7, 4, mask_zero=True)(a))
    z = L.LSTM(4, return_sequences=True)(L.Embedding(7, 4, mask_zero=True)(b), initial_state=[h, c])
    return tk.Model([a, b], L.TimeDistributed(L.Dense(3))(L.Concatenate()([z, L.Attention()([z, y])])))


def transformer() -> Any:
    """Two layers of a decoder that attend to the same masked outputs of an encoder."""
    a, b = Input(FLAT, dtype="int32"), Input(FLAT, dtype="int32")
    y, z = L.Embedding(7, 4, mask_zero=True)(a), L.Embedding(7, 4, mask_zero=True)(b)
    for _ in range(2):
        z = L.LayerNormalization()(L.Add()([z, L.MultiHeadAttention(2, 2, dropout=0.1)(z, y)]))
    return tk.Model([a, b], z)


def half() -> Any:
    policy = tk.mixed_precision.Policy("mixed_float16")
    return functional(L.Conv2D(4, 3, dtype=policy), L.Flatten(), L.Dense(2, dtype="float32"))


def virtual() -> Any:
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization as Version1

    return functional(Version1(virtual_batch_size=2))


def tf_functions() -> Any:
    a, c = Input(FLAT), Input(ROWS)
    made = [1 - a[:, 1:3], tf.concat([a, a], 1), tf.nn.relu(c[..., 0]), c[:, -1], tf.reshape(a, (-1, 1, 5)), a * a]
    made += [tf.reduce_mean(c, axis=1, keepdims=True), tf.nn.softmax(a), a / 3, -a, tf.transpose(c, [0, 2, 1])]
    return tk.Model([a, c], [*made, tf.stack([a, a], axis=1), tf.expand_dims(a, 1), tf.maximum(a, 0.5), a**2])


def deep() -> Any:
    inner = tk.Sequential([Input(IMAGE), base("inner"), L.Conv2D(3, 2)], name="middle")
    return functional(tk.Sequential([Input(IMAGE), inner, L.Flatten()], name="outer"), L.Dense(2))


def adapted() -> Any:
    """Layers that were shown data before the training."""
    data = np.random.default_rng(5).normal(3, 2, (64, 5)).astype("float32")
    scaled, cut = L.Normalization(), L.Discretization(num_bins=4)
    scaled.adapt(data), cut.adapt(data)
    a = Input(FLAT)
    return tk.Model(a, [L.Dense(3)(scaled(a)), cut(a)])


def renorm() -> Any:
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization as Version1

    return functional(Version1(renorm=True))


MODELS: dict[str, Callable[[], Any]] = {
    "Sequential": lambda: tk.Sequential(
        [Input(IMAGE), L.Conv2D(3, 2), L.BatchNormalization(), L.Flatten(), L.Dense(2)]
    ),
    "Sequential by input_shape": lambda: tk.Sequential([L.Conv2D(3, 2, input_shape=IMAGE), L.Flatten()]),
    "Sequential of an Embedding": lambda: tk.Sequential([L.Embedding(7, 3, input_length=5), L.Flatten(), L.Dense(2)]),
    "Sequential of a Bidirectional": lambda: tk.Sequential([L.Bidirectional(L.LSTM(2), input_shape=ROWS), L.Dense(2)]),
    "Sequential of a backbone": lambda: tk.Sequential([base(), L.GlobalAveragePooling2D(), L.Dense(2)]),
    "Functional over a backbone": lambda: functional(base(), L.GlobalAveragePooling2D(), L.Dense(2)),
    "Sequential in Sequential": lambda: tk.Sequential(
        [Input(IMAGE), tk.Sequential([Input(IMAGE), L.Conv2D(3, 2)]), L.Flatten(), L.Dense(2)]
    ),
    "Teachable Machine": lambda: tk.Sequential([tk.Sequential([base(top=True)]), tk.Sequential([L.Dense(3)])]),
    "backbone as last": lambda: functional(L.Conv2D(4, 1), base()),
    "three models deep": deep,
    "shared layer": shared,
    "shared model": shared_model,
    "residual, names with '/'": residual,
    "two outputs": two_outputs,
    "dict of outputs": dict_outputs,
    "frozen backbone": frozen,
    "partly frozen backbone": partly_frozen,
    "MultiHeadAttention": attention,
    "Attention": attentions,
    "initial states": encoder,
    "masked": masked,
    "masked merges": masked_merges,
    "words within sentences": sentences,
    "recurrent translator": translator,
    "transformer": transformer,
    "mixed precision": half,
    "virtual_batch_size": virtual,
    "renorm": renorm,
    "adapted": adapted,
    "SyncBatchNormalization": lambda: functional(L.experimental.SyncBatchNormalization()),
    "TimeDistributed model": lambda: functional(L.TimeDistributed(base(top=True)), shape=(2, *IMAGE)),
    "stacked cells": lambda: functional(L.RNN([L.GRUCell(2), L.LSTMCell(2)]), shape=ROWS),
    "Bidirectional of one that goes back": lambda: functional(
        L.Bidirectional(L.LSTM(2, go_backwards=True, return_sequences=True)), shape=ROWS
    ),
    "Bidirectional of two": lambda: functional(
        L.Bidirectional(L.LSTM(2), backward_layer=L.LSTM(2, go_backwards=True)), shape=ROWS
    ),
    "x * 2 + 1": lambda: tk.Model(a := Input(FLAT), L.Dense(2)(a * 2 + 1)),
    "x[:, 1:3]": lambda: tk.Model(a := Input(FLAT), L.Dense(2)(a[:, 1:3])),
    "functions of TensorFlow": tf_functions,
    **{
        kind: lambda kind=kind: tk.Model([a := Input(FLAT), b := Input(FLAT)], getattr(L, kind)()([a, b]))  # type: ignore[misc]
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    },
    "Dot": lambda: tk.Model([a := Input(ROWS), b := Input(ROWS)], L.Dot(axes=2, normalize=True)([a, b])),
}


def cases() -> dict[str, Callable[[], Any]]:
    """Every model by name; one of each is made when it is asked for."""
    single = {
        f"{kind}({', '.join(f'{k}={v}' for k, v in options.items())})"[:70]: (
            lambda kind=kind, shape=shape, options=options: functional(getattr(L, kind)(**options), shape=shape)
        )
        for kind, shape, options in LAYERS
    }
    return single | MODELS


APPLICATIONS = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0")
APPLICATIONS += ("ResNet50V2", "Xception", "InceptionV3", "NASNetMobile", "ConvNeXtTiny", "RegNetX002", "ResNetRS50")
APPLICATIONS += ("ResNet50", "VGG16", "InceptionResNetV2")


def application(name: str) -> Any:
    """One of Keras 2's own architectures, on small images."""
    size = 224 if name == "NASNetMobile" else 96
    return getattr(tk.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
