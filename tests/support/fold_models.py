"""Small models to fold: an image, a convolution, a norm, and what stands around them."""

import keras
import numpy as np
from fold_checks import randomize

L = keras.layers
IMAGE = (8, 7, 3)


def conv(name, filters=4, **kwargs):
    return L.Conv2D(filters, 3, padding="same", name=name, **kwargs)


def bn(name="bn", **kwargs):
    return L.BatchNormalization(name=name, **kwargs)


def model(inputs, outputs, **kwargs):
    return randomize(keras.Model(inputs, outputs, **kwargs))


def image(name="image"):
    return keras.Input(IMAGE, name=name)


def encoder(name="encoder", last="bn"):
    x = image()
    y = L.ReLU()(bn("inside")(conv("conv")(x)))
    return keras.Model(x, bn(last)(conv("last")(y)), name=name)


def sequence(shape, *layers, positive=False, shiftless=False):
    """A randomized Sequential, see `shiftless_or_positive`."""
    return shiftless_or_positive(randomize(keras.Sequential([keras.Input(shape), *layers])), positive, shiftless)


def shiftless_or_positive(model, positive=False, shiftless=False):
    """Give the batch norms one negative gamma, or none, or no shift."""
    for layer in model._flatten_layers():
        if isinstance(layer, L.BatchNormalization):
            if layer.gamma is not None:
                gamma = keras.ops.convert_to_numpy(layer.gamma.value).copy()
                gamma[0] = -1.5
                layer.gamma.assign(np.abs(gamma) if positive else gamma)
            if shiftless:
                layer.beta.assign(np.zeros(layer.beta.shape))
                layer.moving_mean.assign(np.zeros(layer.beta.shape))
    return model
