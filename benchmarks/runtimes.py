"""An artifact in its runtime, on a given number of threads, for the benchmarks that time it."""

from keras_norms.export.targets.onnx.target import OnnxRunner
from keras_norms.export.targets.tflite.target import TFLiteRunner


def runner(path, threads=1):
    return (OnnxRunner if path.suffix == ".onnx" else TFLiteRunner)(path, threads=threads)
