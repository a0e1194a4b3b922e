"""Write a trained model as a small .tflite file for a phone, and as .onnx; see how far each is from the model.

python export_for_a_phone.py [DIRECTORY]
"""

import sys
from pathlib import Path

import keras
from keras_norms.export import to_onnx, to_tflite

from keras_norms import BatchNormalization

directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# A stand-in for your trained model: keras.models.load_model("model.keras").
model = keras.Sequential(
    [
        keras.Input((32, 32, 3), name="image"),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
        BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, name="logits"),
    ]
)

# A phone sees one image at a time: with the batch size fixed, no operation is left that only asks for shapes.
report = to_tflite(model, directory / "phone.tflite", batch_size=1)
print(report)  # what folded, which operations are left, and the measured error

# For a server the batch stays free.
report = to_onnx(model, directory / "server.onnx")
print(f"{report.path}: {report.size_bytes:,} bytes, off by {report.verification.relative:.1e} of the largest output")
