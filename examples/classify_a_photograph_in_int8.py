"""Make an 8-bit model with integer inputs and outputs, and run a photograph of camera size through it.

python classify_a_photograph_in_int8.py [DIRECTORY]
"""

import sys
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import to_tflite
from sklearn.datasets import load_sample_images

from keras_norms import BatchNormalization, GroupNormalization

path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "photograph.tflite"
photographs = load_sample_images().images  # two of 427 x 640 pixels: a temple and a flower

# A stand-in for your trained model: keras.models.load_model("model.keras").
keras.utils.set_random_seed(0)
x = image = keras.Input((427, 640, 3), name="image")
x = keras.layers.Rescaling(1 / 255)(x)
for channels, norm in ((16, BatchNormalization()), (32, GroupNormalization(8)), (64, GroupNormalization(8))):
    x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(norm(x))
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="scores")(x))


def typical():
    """What the camera sees, for the ranges of the activations: here the photographs, brighter and darker, mirrored."""
    for light in (0.6, 0.8, 1.0, 1.2):
        for photograph in photographs:
            lit = np.clip(photograph * light, 0, 255).astype("float32")
            yield lit[None]
            yield lit[None, :, ::-1]


report = to_tflite(model, path, quantize="int8", io_dtype="int8", calibration=typical(), batch_size=1)
print(report)

# What the app does: integers in, integers out, by the scales that the file states.
interpreter = Interpreter(str(path))
interpreter.allocate_tensors()
(taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
scale, zero = taken["quantization"]
pixels = np.clip(np.round(photographs[1] / scale) + zero, -128, 127).astype("int8")
interpreter.set_tensor(taken["index"], pixels[None])
interpreter.invoke()
scale, zero = given["quantization"]
scores = (interpreter.get_tensor(given["index"])[0].astype("float32") - zero) * scale

expected = keras.ops.convert_to_numpy(model(photographs[1][None].astype("float32")))[0]
print(f"class {scores.argmax()} of {pixels.shape[0]} x {pixels.shape[1]} pixels, as in Keras: {expected.argmax()};")
print(f"scores off by {np.abs(scores - expected).max():.4f} at most")
