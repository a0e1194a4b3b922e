"""Networks for chips of integers, with fixed seeds: what `npu_norms.py` and `tiny_networks.py` export and judge.

The residual network is of 9 convolutions and 6 norms, for images of 32 x 32. Trained for a little while to tell from a
crop of two photographs which of them it is from, and from which quarter of its height, then given other gammas and
betas: what a long training leaves is not all ones and zeros.
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


def trained(make, norm, seed=0):
    """A network of `make`, trained for a little while, with random gammas and betas."""
    keras.utils.set_random_seed(seed)
    model = make(NORMS[norm])
    images, labels = crops(2048, seed=1)
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
