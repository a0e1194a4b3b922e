"""An artifact in its runtime, on a given number of threads, for the benchmarks that time it."""

from keras_norms.export.formats.onnx.runtime import OnnxRunner
from keras_norms.export.formats.tflite.runtime import TFLiteRunner


def runner(path, threads=1):
    return (OnnxRunner if path.suffix == ".onnx" else TFLiteRunner)(path, threads=threads)
