"""Test accuracy of the demo's network before and after quantization, in every mode of both formats.

    python benchmarks/quantized_digits.py [--norms "batch norm" ...] [--epochs 6]

The residual CNN of `keras-norms demo` with three norms, trained on scikit-learn's 1,347 digits in batches of 32, and
judged on the other 450. int8 and int16x8 are calibrated on 256 of the training images. Prints Markdown.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.demo import data, training
from keras_norms.export.formats import format_of
from keras_norms.export.quantization.modes import MODES

NORMS = ("batch norm", "group norm", "layer norm")
FORMATS = {
    ".tflite": (to_tflite, (None, "float16", "dynamic", "int8", "int16x8")),
    ".onnx": (to_onnx, (None, "float16", "dynamic", "int8")),
}
CALIBRATION = 256


def accuracy(path, digits):
    """The share of test images that the file gets right, one image at a time."""
    runner = next(iter(format_of(path).runners(path).values()))
    name, output = runner.inputs[0].name, runner.outputs[0]
    logits = [runner.run({name: image[None]})[output][0] for image in digits.test_images]
    return float(np.mean(np.argmax(logits, -1) == digits.test_labels))


def accuracies(model, digits, path):
    """{(suffix, mode): (test accuracy, SQNR of the logits in dB as verified)}."""
    found = {}
    for suffix, (export, modes) in FORMATS.items():
        for mode in modes:
            given = digits.train_images[:CALIBRATION] if mode and MODES[mode].calibrated else None
            file = path.with_suffix(suffix)
            report = export(model, file, quantize=mode, calibration=given)
            found[suffix, mode] = accuracy(file, digits), report.verification.outputs["logits"].sqnr_db
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--norms", nargs="+", default=NORMS, choices=NORMS)
    parser.add_argument("--epochs", type=int, default=training.RECIPES[0].epochs)
    options = parser.parse_args()
    digits, recipe = data.load(), replace(training.RECIPES[0], epochs=options.epochs)
    columns = [f"{suffix} {mode or 'float32'}" for suffix, (_, modes) in FORMATS.items() for mode in modes]
    print("| norm | Keras | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 2))
    with tempfile.TemporaryDirectory() as folder:
        for norm in options.norms:
            trained = training.train(norm, recipe, digits)
            found = accuracies(trained.model, digits, Path(folder) / "digits")
            cells = [f"{100 * right:.1f} ({db:.0f} dB)" for right, db in found.values()]
            print(f"| {norm} | {100 * trained.test_accuracy[-1]:.1f} | " + " | ".join(cells) + " |", flush=True)
            keras.backend.clear_session()


if __name__ == "__main__":
    main()
