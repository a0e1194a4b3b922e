"""Small models with norms whose statistics are neither zero nor one, gammas negative and zero among them."""

import keras
import numpy as np
from versions import HAS_RENORM

import keras_norms


def randomize(model, seed=0):
    """Give every weight a random value: gammas of both signs and one zero, positive variances, means off zero."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        for weight in layer.weights if not list(layer._layers) else ():
            name, shape = weight.path.split("/")[-1], tuple(weight.shape)
            if weight.dtype.startswith("int") or "seed" in name:
                continue
            if name in ("moving_variance", "variance"):
                values = rng.uniform(0.3, 3.0, shape)
            elif name == "gamma":
                values = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
                values.flat[0] = 0.0
            elif len(shape) <= 1:
                values = rng.normal(0.0, 0.5, shape)
            else:
                values = rng.normal(0.0, 1.0 / np.sqrt(max(1, np.prod(shape[:-1]))), shape)
            weight.assign(values)
    return model


def image_net(norm, size=12, channels=8, **conv):
    """conv, norm, relu, twice, the second strided; pooled to four logits."""
    x = inputs = keras.Input((size, size, 3), name="image")
    for i, strides in enumerate((1, 2)):
        x = keras.layers.Conv2D(channels, 3, strides, "same", use_bias=False, name=f"conv_{i}", **conv)(x)
        x = norm(name=f"norm_{i}")(x)
        x = keras.layers.ReLU(name=f"relu_{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return randomize(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x), name="image_net"))


def two_in_two_out():
    """Inputs and outputs whose alphabetical order is not theirs."""
    zeta, alpha = keras.Input((8, 8, 4), name="zeta"), keras.Input((5,), name="alpha")
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(zeta)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    y = keras.layers.Dense(8, name="dense")(alpha)
    total = keras.layers.Add(name="total")([x, y])
    return randomize(keras.Model([zeta, alpha], [total, keras.layers.Dense(3, name="logits")(total)], name="two"))


NORMS = {
    "BatchNormalization": keras_norms.BatchNormalization,
    "BatchRenormalization": keras_norms.BatchRenormalization,
    "GroupNormalization": lambda **kw: keras_norms.GroupNormalization(groups=4, **kw),
    "InstanceNormalization": keras_norms.InstanceNormalization,
    "LayerNormalization": keras_norms.LayerNormalization,
    "keras BatchNormalization": keras.layers.BatchNormalization,
    "keras GroupNormalization": lambda **kw: keras.layers.GroupNormalization(groups=4, **kw),
    "keras LayerNormalization": keras.layers.LayerNormalization,
}

if HAS_RENORM:
    NORMS["keras BatchNormalization(renorm)"] = lambda **kw: keras.layers.BatchNormalization(renorm=True, **kw)
