"""Custom layers that hold a convolution and a norm, with a call that is Python code."""

import keras
from fold_models import conv, image, model

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    def __init__(self, filters=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv = L.Conv2D(filters, 3, padding="same", name="conv")
        self.bn = L.BatchNormalization(name="hidden")

    def build(self, shape):
        self.conv.build(shape)
        self.bn.build((*shape[:-1], self.filters))

    def call(self, x, training=None):
        return self.finish(self.bn(self.conv(x), training=training))

    def finish(self, y):
        return y

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


class Activated(Block):
    """A norm that cannot fold."""

    def call(self, x):
        return self.bn(keras.ops.relu(self.conv(x)))


class Residual(Block):
    def compute_output_shape(self, shape):
        return (*shape[:-1], self.filters)

    def call(self, x, training=False):
        return keras.ops.relu(x + self.bn(self.conv(x), training=training))


class Joined(Block):
    def call(self, a, b, weight=1.0):
        return a + weight * self.bn(self.conv(b))

    def build(self, a_shape, b_shape=None):
        super().build(a_shape)


def block_model(block):
    x = image()
    return model(x, L.ReLU(name="last")(block(conv("first")(x))))
