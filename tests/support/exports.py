"""The function that writes each format, by its suffix: what a test runs on every format."""

from keras_norms.export import to_onnx, to_tflite

EXPORTS = {".tflite": to_tflite, ".onnx": to_onnx}
