"""Subclassed models to fold, and all of them that must not change."""

import keras
import numpy as np
from fold_checks import randomize
from fold_models import IMAGE, bn, conv
from keras import tree


def images(batch=2, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, *IMAGE)).astype("float32")


def built(model, x=None):
    model(tree.map_structure(keras.ops.convert_to_tensor, images() if x is None else x))
    return randomize(model)


def everything(model):
    """All that must not change."""
    layers = model._flatten_layers()
    return (
        [keras.ops.convert_to_numpy(v.value).tobytes() for v in model.variables],
        [(id(part), part.name, part.trainable, part.built) for part in layers],
        [(len(part._inbound_nodes), len(part._outbound_nodes), sorted(vars(part))) for part in layers],
        [(name, id(value)) for part in layers for name, value in vars(part).items()],
    )


def flat(model, x):
    outputs = model(tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
    return [keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")).astype("float64") for y in tree.flatten(outputs)]


class Python(keras.Model):
    """A call that `function` makes of a convolution and a norm."""

    def __init__(self, function):
        super().__init__(name="net")
        self.conv, self.bn, self.function = conv("conv", 3), bn("bn"), function

    def call(self, x):
        return self.function(self, x)
