"""Small models for .onnx files, and what such a file holds."""

from collections import Counter

import keras
import onnx
from models import randomize


def chain(shape, *layers, batch=None):
    x = inputs = keras.Input(shape, batch_size=batch, name="x")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(inputs, x))


def counted(path):
    return dict(Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node))


def opset_of(path):
    return onnx.load(path, load_external_data=False).opset_import[0].version
