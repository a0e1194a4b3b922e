"""Networks for chips of integers, with fixed seeds: what `npu_norms.py` and `tiny_networks.py` export and judge.

Each is for images of 32 x 32. The residual network is of 9 convolutions and 6 norms; the U-Net labels every pixel; the
encoder takes an image as 64 patches. Trained for a little while to tell from a crop of two photographs which of them it
is from, and from which quarter of its height, then given other gammas and betas: what a long training leaves is not all
ones and zeros.
"""

import keras
import numpy as np
from sklearn.datasets import load_sample_images

import keras_norms

L = keras.layers
SIZE, CLASSES, STEPS = 32, 8, 320
NORMS = {
    "batch": lambda: L.BatchNormalization(momentum=0.9),
    "group": lambda: keras_norms.GroupNormalization(8),
    "instance": keras_norms.InstanceNormalization,
    "layer": keras_norms.LayerNormalization,
    "rms": L.RMSNormalization,
}
KERAS_NORMS = {  # Keras' own layers, for the graphs that other converters are given
    **NORMS,
    "group": lambda: L.GroupNormalization(8),
    "instance": lambda: L.GroupNormalization(-1),
    "layer": L.LayerNormalization,
}


def crops(count, seed):
    """Crops of two photographs, and which of the eight classes each is."""
    rng, photographs = np.random.default_rng(seed), load_sample_images().images
    images, labels = [], []
    for _ in range(count):
        which = rng.integers(2)
        y, x = (rng.integers(0, size - 2 * SIZE) for size in photographs[which].shape[:2])
        images.append(photographs[which][y : y + 2 * SIZE : 2, x : x + 2 * SIZE : 2] / 127.5 - 1)
        labels.append(4 * which + 4 * y // (photographs[which].shape[0] - 2 * SIZE))
    return np.stack(images).astype("float32"), np.array(labels)


def resnet(norm):
    def conv(x, channels, kernel, strides):
        return L.Conv2D(channels, kernel, strides, "same", use_bias=False)(x)

    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = L.ReLU()(conv(image, 16, 3, 1))
    for channels, strides in ((16, 1), (32, 2), (64, 2)):
        skip = x if channels == x.shape[-1] else conv(x, channels, 1, strides)
        y = L.ReLU()(norm()(conv(x, channels, 3, strides)))
        x = L.ReLU()(L.Add()([norm()(conv(y, channels, 3, 1)), skip]))
    return keras.Model(image, L.Dense(CLASSES, name="logits")(L.GlobalAveragePooling2D()(x)))


def unet(norm):
    def block(x, channels):
        for _ in range(2):
            x = L.ReLU()(norm()(L.Conv2D(channels, 3, padding="same", use_bias=False)(x)))
        return x

    image = keras.Input((SIZE, SIZE, 3), name="image")
    skips, x = [], image
    for channels in (16, 32):
        skips.append(block(x, channels))
        x = L.MaxPooling2D()(skips[-1])
    x = block(x, 64)
    for channels, skip in zip((32, 16), skips[::-1], strict=True):
        x = block(L.Concatenate()([L.UpSampling2D(interpolation="nearest")(x), skip]), channels)
    return keras.Model(image, L.Conv2D(CLASSES, 1, name="logits")(x))


def mobilenet(norm):
    def norm_relu6(x):
        return L.ReLU(6)(norm()(x))

    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = norm_relu6(L.Conv2D(16, 3, 2, "same", use_bias=False)(image))
    for channels, strides in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 1)):
        x = norm_relu6(L.DepthwiseConv2D(3, strides, "same", use_bias=False)(x))
        x = norm_relu6(L.Conv2D(channels, 1, use_bias=False)(x))
    return keras.Model(image, L.Dense(CLASSES, name="logits")(L.GlobalAveragePooling2D()(x)))


def encoder(norm, width=64, activation="gelu"):
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = L.Reshape((-1, width))(L.Conv2D(width, 4, 4)(image))
    for _ in range(2):
        y = norm()(x)
        x = L.Add()([x, L.MultiHeadAttention(4, width // 4)(y, y)])
        y = L.Dense(2 * width, activation=activation)(norm()(x))
        x = L.Add()([x, L.Dense(width)(y)])
    return keras.Model(image, L.Dense(CLASSES, name="logits")(L.GlobalAveragePooling1D()(norm()(x))))


def trained(make, norm, seed=0):
    """A network of `make`, trained for a little while, with random gammas and betas."""
    keras.utils.set_random_seed(seed)
    model = make(NORMS[norm])
    images, labels = crops(2048, seed=1)
    if len(model.output_shape) == 4:  # every pixel has the label of its image
        labels = np.broadcast_to(labels[:, None, None], (len(labels), SIZE, SIZE))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, STEPS)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=32, epochs=STEPS // 64, verbose=0)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        scale = (
            getattr(layer, "scale", None) if isinstance(layer, L.RMSNormalization) else getattr(layer, "gamma", None)
        )
        if scale is not None and hasattr(scale, "assign"):
            scale.assign(scale * rng.uniform(0.5, 1.5, scale.shape))
        if getattr(layer, "beta", None) is not None:
            layer.beta.assign(layer.beta + rng.normal(0, 0.3, layer.beta.shape))
    return model


def with_keras_layers(model, make, norm):
    """The same network of Keras' own norms, for a batch of one: only so is every shape in the file static."""
    twin = make(KERAS_NORMS[norm])
    twin.set_weights(model.get_weights())
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    return keras.Model(image, twin(image))
