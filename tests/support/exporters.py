"""The table of Keras' own exporters: model.export of every layer on the backend that KERAS_BACKEND names.

    KERAS_BACKEND=torch python tests/support/exporters.py            every layer by itself, ours and Keras'
    KERAS_BACKEND=torch python tests/support/exporters.py out.json   one model of all layers, and on TensorFlow the
                                                                     operations of each in a LiteRT file

Each cell says "right", "not installed", or what is wrong.
"""

import json
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
from layer_cases import BN, BRN, GN, IN, KBN, KGN, KLN, LN, randomize

SHAPE = (1, 8, 8, 16)
LAYERS = {
    "BN": (lambda: BN(), lambda: KBN()),
    "BRN": (lambda: BRN(), lambda: KBN(renorm=True)),
    "GN": (lambda: GN(4), lambda: KGN(4)),
    "IN": (lambda: IN(), lambda: KGN(-1)),
    "LN": (lambda: LN(), lambda: KLN()),
}
# what a format needs besides the backend, by backend; the formats that Keras has there
FORMATS = {
    "tensorflow": {"tf_saved_model": (), "litert": (), "onnx": ("tf2onnx",), "openvino": ("openvino",)},
    "jax": {"tf_saved_model": ("tensorflow",), "onnx": ("jax2onnx",), "openvino": ("openvino", "tensorflow")},
    "torch": {
        "torch": (),
        "onnx": ("onnxscript",),
        "openvino": ("openvino",),
        "litert": ("litert_torch",),
    },
}
SUFFIX = {"tf_saved_model": "", "litert": ".tflite", "onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
OF_DATA = {"IF", "WHILE", "REDUCE_ANY", "REDUCE_ALL", "GREATER", "LESS"}


def model_of(*layers, trained=True):
    x = y = keras.Input(SHAPE[1:], batch_size=1)
    for layer in layers:
        y = (randomize(layer, SHAPE) if trained else layer)(y)
    return keras.Model(x, y)


def run(format, path, x):
    """The outputs of an exported file. A SavedModel is called as TensorFlow loads it."""
    if format == "tf_saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(path)  # owns the variables of what it serves
        return np.asarray(loaded.serve(x))
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(path)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: x})[0]
    if format == "openvino":
        import openvino

        return openvino.compile_model(path, "CPU")(x)[0]
    import torch

    return torch.export.load(path).module()(torch.tensor(x)).detach().numpy()


def cell(format, *layers):
    if not all(find_spec(name) for name in FORMATS[keras.backend.backend()][format]):
        return "not installed"
    model, x = model_of(*layers), np.random.default_rng(0).normal(0.5, 2, SHAPE).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / f"model{SUFFIX[format]}")
        try:
            wanted = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x), training=False))
            model.export(path, format=format, verbose=False)
            error = np.abs(run(format, path, x) - wanted).max()
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    return "right" if error < 1e-4 else f"off by {error:.1e}"


def litert_operations(layer):
    """The names of the operations of a file with one new layer."""
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.tflite")
        model_of(layer, trained=False).export(path, format="litert", verbose=False)
        return [o["op_name"] for o in Interpreter(path)._get_ops_details() if o["op_name"] != "DELEGATE"]


def table():
    """One model of all layers for each format, and the operations of each layer with those that depend on data."""
    formats = FORMATS[keras.backend.backend()]
    found = {"together": {format: cell(format, *(ours() for ours, _ in LAYERS.values())) for format in formats}}
    if keras.backend.backend() == "tensorflow":
        lists = {name: litert_operations(ours()) for name, (ours, _) in LAYERS.items()}
        found["operations"] = {name: [len(o), sorted(OF_DATA & set(o))] for name, o in lists.items()}
    return found


def main():
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(table()))
        return
    for format in FORMATS[keras.backend.backend()]:
        for name, (ours, theirs) in LAYERS.items():
            print(f"{format}, {name}: {cell(format, ours())}; Keras: {cell(format, theirs())}", flush=True)
    if keras.backend.backend() == "tensorflow":
        for name, pair in LAYERS.items():
            print(f"litert, {name}:", *(dict(Counter(litert_operations(make()))) for make in pair))


if __name__ == "__main__":
    main()
