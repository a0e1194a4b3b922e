"""Ten small networks for `quantized_networks.py`, each trained for a minute or two on data that packages ship.

Images are scikit-learn's digits, enlarged, and crops of its two photographs; text is Python's own help, as words,
padded to one length. Of each there are examples to train and calibrate with, and others to judge on.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pydoc_data.topics import topics

import keras
import numpy as np
import tensorflow as tf
from quantized_norms import NORMS, digits, resnet
from sklearn.datasets import load_sample_images

L = keras.layers
STEPS, BATCH = 300, 32
WORDS, SHORTEST, LONGEST = 1000, 16, 64
KERAS_NORMS = {
    "group": lambda: L.GroupNormalization(16),
    "instance": lambda: L.GroupNormalization(-1),
    "layer": L.LayerNormalization,
}


def photographs(size, count, seed):
    """Crops of two photographs, and which of them and which quarter of its height each is from: eight classes."""
    rng, given = np.random.default_rng(seed), load_sample_images().images
    images, labels = [], []
    for _ in range(count):
        which = rng.integers(2)
        y, x = (rng.integers(0, extent - size) for extent in given[which].shape[:2])
        images.append(given[which][y : y + size, x : x + size] / 127.5 - 1)
        labels.append(4 * which + 4 * y // (given[which].shape[0] - size))
    return np.stack(images).astype("float32"), np.array(labels)


def crops(size):
    return photographs(size, 1600, seed=1), photographs(size, 400, seed=2)


def large_digits(size, channels=3):
    return tuple((tf.image.resize(x[..., :channels], (size, size)).numpy(), y) for x, y in digits())


def digits_on_photographs():
    """Digits over crops of photographs; each pixel is labelled as part of the digit or not."""
    pairs = []
    for seed, (images, _) in enumerate(large_digits(64, 1)):
        ground, mask = photographs(64, len(images), seed)[0], images > 0
        pairs.append((np.where(mask, images, 0.6 * ground).astype("float32"), mask[..., 0].astype("int32")))
    return tuple(pairs)


def digits_as_frames():
    """A digit, column after column: 32 frames of 24 numbers, as a recording has them."""
    return tuple((np.swapaxes(tf.image.resize(x[..., :1], (24, 32)).numpy()[..., 0], 1, 2), y) for x, y in digits())


def texts():
    """Pieces of 16 to 64 words of Python's ten longest help texts, and which each is from; the ends are held out."""
    longest = sorted(topics.values(), key=len, reverse=True)[:10]
    given = [re.findall(r"\w+|\S", text.lower()) for text in longest]
    counts = Counter(word for text in given for word in text[: len(text) * 5 // 6])
    ids_of = {word: i for i, (word, _) in enumerate(counts.most_common(WORDS - 2), 2)}  # 0 pads, 1 is any other

    def pieces(count, first, last, seed):
        rng = np.random.default_rng(seed)
        labels, ids = rng.integers(0, len(given), count), np.zeros((count, LONGEST), np.int32)
        for row, label in zip(ids, labels, strict=True):
            part = given[label][int(first * len(given[label])) : int(last * len(given[label]))]
            length = min(len(part), rng.integers(SHORTEST, LONGEST + 1))
            start = rng.integers(0, len(part) - length + 1)
            row[:length] = [ids_of.get(word, 1) for word in part[start : start + length]]
        return ids, labels

    return pieces(6000, 0, 5 / 6, 1), pieces(400, 5 / 6, 1, 2)


def mobilenet():
    options = {"include_preprocessing": False, "classifier_activation": None, "dropout_rate": 0.0}
    model = keras.applications.MobileNetV3Small((96, 96, 3), weights=None, classes=8, **options)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.9  # .999 would keep the statistics that it begins with
    return model


class Scale(L.Layer):
    """Multiplies each channel by a weight of its own."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer=keras.initializers.Constant(0.3))

    def call(self, x):
        return x * self.scale

    def compute_output_shape(self, shape):
        return shape


def convnext():
    image = keras.Input((96, 96, 3), name="image")
    x = L.LayerNormalization(epsilon=1e-6)(L.Conv2D(32, 4, 4)(image))
    for channels in (32, 64, 128):
        if channels != x.shape[-1]:
            x = L.Conv2D(channels, 2, 2)(L.LayerNormalization(epsilon=1e-6)(x))
        for _ in range(2):
            y = L.LayerNormalization(epsilon=1e-6)(L.DepthwiseConv2D(7, padding="same")(x))
            y = L.Dense(channels)(L.Dense(4 * channels, activation="gelu")(y))
            x = L.Add()([x, Scale()(y)])
    x = L.LayerNormalization(epsilon=1e-6)(L.GlobalAveragePooling2D()(x))
    return keras.Model(image, L.Dense(8, name="logits")(x))


def unet():
    def block(x, channels):
        for _ in range(2):
            x = L.Conv2D(channels, 3, padding="same", use_bias=False)(x)
            x = L.ReLU()(L.BatchNormalization(momentum=0.9)(x))
        return x

    image = keras.Input((64, 64, 3), name="image")
    skips, x = [], image
    for channels in (16, 32, 64):
        skips.append(block(x, channels))
        x = L.MaxPooling2D()(skips[-1])
    x = block(x, 128)
    for channels, skip in zip((64, 32, 16), skips[::-1], strict=True):
        x = L.Conv2DTranspose(channels, 2, 2)(x)
        x = block(L.Concatenate()([x, skip]), channels)
    return keras.Model(image, L.Conv2D(2, 1, name="logits")(x))


class Positions(L.Layer):
    """Adds an embedding of its own to each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02))

    def call(self, x):
        return x + self.table

    def compute_output_shape(self, shape):
        return shape


def encoder_block(x, width, heads):
    y = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(heads, width // heads)(y, y)])
    y = L.Dense(4 * width, activation="gelu")(L.LayerNormalization()(x))
    return L.Add()([x, L.Dense(width)(y)])


def vit(width=96):
    image = keras.Input((64, 64, 3), name="image")
    x = Positions()(L.Reshape((-1, width))(L.Conv2D(width, 8, 8)(image)))
    for _ in range(4):
        x = encoder_block(x, width, heads=4)
    return keras.Model(image, L.Dense(10, name="logits")(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))


def text_encoder(width=96):
    ids = keras.Input((LONGEST,), dtype="int32", name="ids")
    x = Positions()(L.Embedding(WORDS, width, mask_zero=True)(ids))
    for _ in range(3):
        x = encoder_block(x, width, heads=4)
    return keras.Model(ids, L.Dense(10, name="logits")(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))


def gru():
    frames = keras.Input((32, 24), name="frames")
    x = L.Conv1D(48, 5, 1, "same", activation="relu")(frames)
    x = L.GRU(64)(L.GRU(64, return_sequences=True)(x))
    return keras.Model(frames, L.Dense(10, name="logits")(x))


@dataclass(frozen=True)
class Network:
    make: Callable
    data: Callable
    rate: float
    norm: str | None = None  # one of this package's layers, which other converters are given Keras' own for

    def model(self):
        return self.make(NORMS[self.norm]) if self.norm else self.make()

    def twin(self):
        """The network of Keras' own layers."""
        return self.make(KERAS_NORMS[self.norm]) if self.norm else self.make()


def residual(norm):
    return resnet(norm, classes=10)


ZOO = {
    "ResNet, batch norm": Network(lambda: residual(NORMS["batch"]), digits, 2e-3),
    "ResNet, group norm": Network(residual, digits, 1e-3, "group"),
    "ResNet, layer norm": Network(residual, digits, 5e-4, "layer"),
    "ResNet, instance norm": Network(residual, digits, 1e-3, "instance"),
    "MobileNetV3-Small": Network(mobilenet, lambda: crops(96), 2e-3),
    "U-Net": Network(unet, digits_on_photographs, 2e-3),
    "ViT": Network(vit, lambda: large_digits(64), 1e-3),
    "text encoder, padded": Network(text_encoder, texts, 1e-3),
    "GRU": Network(gru, digits_as_frames, 3e-3),
    "ConvNeXt": Network(convnext, lambda: crops(96), 1e-3),
}


def trained(name, folder):
    """A network of `ZOO`, trained or as `folder` has it, the data that trained it, and the data to judge it on."""
    network, path = ZOO[name], folder / f"{name.replace(',', '').replace(' ', '_')}.weights.h5"
    train, test = network.data()
    keras.utils.set_random_seed(0)
    model = network.model()
    if path.is_file():
        model.load_weights(path)
        return model, train, test
    rate = keras.optimizers.schedules.CosineDecay(network.rate, STEPS, warmup_target=network.rate, warmup_steps=30)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    data = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[0]), seed=0).repeat().batch(BATCH)
    model.fit(data, steps_per_epoch=STEPS, verbose=0)
    model.save_weights(path)
    return model, train, test


def right(model, test):
    """The share of held-out examples, or of their pixels, that the network gets right, in per cent."""
    return 100 * float(np.mean(np.argmax(model.predict(test[0], verbose=0), -1) == test[1]))
