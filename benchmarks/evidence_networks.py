"""The networks of evidence.py: one for each kind of data, with a norm behind every layer but the last."""

import keras
from keras import layers, ops

import keras_norms as kn

NORMS = ("none", "BN", "BRN", "GN", "LN")


def norm_layer(norm, steps):
    return {
        "none": lambda: layers.Identity(),
        "BN": lambda: kn.BatchNormalization(),
        "BRN": lambda: kn.BatchRenormalization(schedule=kn.RenormSchedule.for_training(steps)),
        "GN": lambda: kn.GroupNormalization(groups=8),
        "IN": lambda: kn.InstanceNormalization(),
        "LN": lambda: kn.LayerNormalization(),
        "LN within": lambda: layers.Identity(),
    }[norm]()


def _start(scale):
    """He's initial weights, times `scale`."""
    return keras.initializers.VarianceScaling(2.0 * scale**2)


def perceptron(shape, classes, norm, steps, scale):
    """Two hidden layers of 64."""
    x = image = keras.Input(shape)
    if len(shape) > 1:
        x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(64, kernel_initializer=_start(scale))(x)
        x = layers.ReLU()(norm_layer(norm, steps)(x))
    return keras.Model(image, layers.Dense(classes)(x))


def convolutional(shape, classes, norm, steps, scale):
    """Four convolutions of 16, 32, 32 and 64 channels to 2 x 2 positions, and their mean."""
    x = image = keras.Input(shape)
    given = {"padding": "same", "use_bias": norm == "none", "kernel_initializer": _start(scale)}
    for width, strides in ((16, shape[0] // 8), (32, 2), (32, 1), (64, 2)):
        x = layers.Conv2D(width, 3, strides, **given)(x)
        x = layers.ReLU()(norm_layer(norm, steps)(x))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def recurrent(shape, classes, norm, steps, scale):
    """Two LSTMs of 32 units over the steps that are not padding, a norm behind each or within it."""
    x = sequence = keras.Input(shape)
    x = layers.Masking()(x)
    for i in range(2):
        cell = LSTMCell(32, norm == "LN within", scale)
        x = norm_layer(norm, steps)(layers.RNN(cell, return_sequences=i == 0)(x))
    return keras.Model(sequence, layers.Dense(classes)(x))


class LSTMCell(layers.Layer):
    """A long short-term memory; with `norms` that of Ba et al., 2016 (https://arxiv.org/abs/1607.06450, 29 to 31).

    i, f, o, g = LN(W x) + LN(U h) + b, c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(LN(c')).
    """

    def __init__(self, units, norms, scale):
        super().__init__()
        self.units, self.state_size, self.output_size, self.scale = units, [units, units], units, scale
        self.of_input, self.of_state, self.of_memory = (
            (kn.LayerNormalization(center=False), kn.LayerNormalization(center=False), kn.LayerNormalization())
            if norms
            else (layers.Identity(), layers.Identity(), layers.Identity())
        )

    def build(self, shape):
        n = self.units
        glorot = keras.initializers.VarianceScaling(self.scale**2, "fan_avg")
        self.kernel = self.add_weight((shape[-1], 4 * n), glorot, name="kernel")
        self.recurrent = self.add_weight((n, 4 * n), keras.initializers.Orthogonal(self.scale), name="recurrent")
        self.bias = self.add_weight((4 * n,), "zeros", name="bias")
        for layer, width in ((self.of_input, 4 * n), (self.of_state, 4 * n), (self.of_memory, n)):
            layer.build((None, width))

    def call(self, inputs, states):
        h, c = states
        gates = self.of_input(inputs @ self.kernel) + self.of_state(h @ self.recurrent) + self.bias
        i, f, o, g = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(f + 1) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(self.of_memory(c))
        return h, [h, c]
