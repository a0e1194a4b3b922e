"""Quantized residual networks with norms: signal to quantization noise of the logits, ours beside the converter's own.

    python benchmarks/quantized_norms.py [group|instance|layer|batch|fresh ...] [--random] [--modes MODE ...] [--onnx]

A ResNet of 29 convolutions for images of 96 x 96. Trained for a hundred steps on scikit-learn's digits, enlarged;
calibrated on 64 of them and judged on 32 others. `--random`: random weights and crops of two photographs instead; batch
norms then have the statistics of their inputs over the calibration crops, "fresh" ones a mean of 0, a variance of 1.

Prints Markdown: dB, larger is better, and the seconds of our export. The row "40 dB in" has no quantization in it:
what the network makes, in float32, of noise a hundredth as large as its input. "rounded" is "dynamic" with calibration.
`--left-out` says what each step of the int8 quantizer is worth instead; `--keep DIR` keeps trained networks there and
takes them from there. `--onnx`: our .onnx files in ONNX Runtime, which no converter alone stands beside. `--edge` adds
what ai-edge-quantizer, to be installed for it, makes of our float file: all of it quantized, and with the norms left in
float.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import fold, to_onnx, to_tflite
from keras_norms.export.formats.onnx.onnx_format import OnnxFormat
from keras_norms.export.formats.onnx.runtime import OnnxRunner
from keras_norms.export.formats.tflite.quantize import calibrated as quantizer
from keras_norms.export.formats.tflite.quantize import calibration_look, equalizing, sensitivity
from keras_norms.export.formats.tflite.quantize.ranges import Histograms
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from keras_norms.export.model.signature import signature
from keras_norms.export.saved_model.record import record
from sklearn.datasets import load_digits, load_sample_images

import keras_norms

L = keras.layers
SIZE, TRAINING_STEPS = 96, 100
NORMS = {
    "group": lambda: keras_norms.GroupNormalization(16),
    "instance": keras_norms.InstanceNormalization,
    "layer": keras_norms.LayerNormalization,
    "batch": lambda: L.BatchNormalization(momentum=0.9),
    "fresh": lambda: L.BatchNormalization(momentum=1.0),  # keeps the statistics that it begins with
}
NORM_OPERATIONS = ("MUL", "ADD", "SUB", "MEAN", "SQUARED_DIFFERENCE", "RSQRT", "RESHAPE", "AVERAGE_POOL_2D")
MODES = ("float16", "dynamic", "rounded", "int8", "int16x8")


def crops(count, rng):
    photographs, cut = load_sample_images().images, []
    for k in range(count):
        photograph = photographs[k % 2]
        y, x = (rng.integers(0, size - SIZE) for size in photograph.shape[:2])
        cut.append(photograph[y : y + SIZE, x : x + SIZE] / 127.5 - 1)
    return np.stack(cut).astype("float32")


def digits():
    """1,347 images and labels to train with, and the other 450."""
    given = load_digits()
    order = np.random.default_rng(0).permutation(len(given.target))
    large = tf.image.resize(given.images[order, ..., None] / 8 - 1, (SIZE, SIZE)).numpy()
    images, labels = np.repeat(large, 3, -1), given.target[order]
    return (images[:1347], labels[:1347]), (images[1347:], labels[1347:])


def resnet(norm, classes):
    def conv_norm(x, channels, kernel, strides, relu=True):
        x = norm()(L.Conv2D(channels, kernel, strides, "same", use_bias=False)(x))
        return L.ReLU()(x) if relu else x

    inputs = keras.Input((SIZE, SIZE, 3), name="image")
    x = L.MaxPooling2D(3, 2, "same")(conv_norm(inputs, 32, 7, 2))
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            skip = x if block else conv_norm(x, channels, 1, strides, relu=False)
            y = conv_norm(conv_norm(x, channels // 2, 1, 1), channels // 2, 3, strides)
            x = L.ReLU()(L.Add()([conv_norm(y, channels, 1, 1, relu=False), skip]))
    return keras.Model(inputs, L.Dense(classes, name="logits")(L.GlobalAveragePooling2D()(x)))


def trained(norm, images, labels, file):
    if file is not None and file.is_file():
        return keras.models.load_model(file)
    keras.utils.set_random_seed(0)
    model = resnet(norm, classes=10)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, TRAINING_STEPS)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=0).repeat().batch(32)
    model.fit(data, steps_per_epoch=TRAINING_STEPS, verbose=0)
    if file is not None:
        model.save(file)
    return model


def randomized(norm, calibration):
    keras.utils.set_random_seed(0)
    model, rng = resnet(norm, classes=100), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.Conv2D):
            shape = layer.kernel.shape
            layer.kernel.assign(rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape))
        if hasattr(layer, "gamma"):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
        if isinstance(layer, L.BatchNormalization) and layer.momentum < 1:
            layer.momentum = 0.0
    model(calibration, training=True)  # gives each batch norm the mean and variance of its input over all crops
    return model


def decibels(expected, got):
    return 10 * np.log10(np.mean(expected**2) / np.mean((got - expected) ** 2))


def of_noisy_input(model, images, expected):
    """What the network makes of noise that is 40 dB below its input."""
    noise = np.random.default_rng(2).normal(size=images.shape) * np.sqrt(np.mean(images**2)) / 100
    return decibels(expected, np.asarray(model(images + noise.astype("float32"), training=False)))


def sqnr(path, images, expected):
    runner = (OnnxRunner if path.suffix == ".onnx" else TFLiteRunner)(path)
    got = np.concatenate([next(iter(runner.run({runner.inputs[0].name: x[None]}).values())) for x in images])
    return decibels(expected, got)


def converters_own(model, mode, calibration, path):
    """TensorFlow's converter on Keras' own graph."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    kinds = tf.lite.OpsSet
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in ("int8", "int16x8"):
        converter.representative_dataset = lambda: ([x[None]] for x in calibration)
        eight_by_sixteen = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        integers = kinds.TFLITE_BUILTINS_INT8 if mode == "int8" else eight_by_sixteen
        converter.target_spec.supported_ops = [integers, kinds.TFLITE_BUILTINS]
    path.write_bytes(converter.convert())


def edge_quantizers_own(mode, calibration, work, norms):
    """ai-edge-quantizer on `float.tflite` in `work`."""
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.qtyping import TFLOperationName

    recipes = {
        "dynamic": recipe.dynamic_wi8_afp32,
        "int8": recipe.static_wi8_ai8,
        "int16x8": recipe.static_wi8_ai16,
    }
    given = work / "float.tflite"
    maker = quantizer.Quantizer(str(given), recipes[mode]())
    for name in () if norms else NORM_OPERATIONS:
        maker.update_quantization_recipe(".*", TFLOperationName(name), algorithm_key="no_quantize")
    (signature_key, names), *_ = Interpreter(str(given)).get_signature_list().items()
    feeds = {signature_key: [{names["inputs"][0]: x[None]} for x in calibration]}
    found = maker.calibrate(feeds) if mode != "dynamic" else None
    path = work / f"{mode}-{norms}.tflite"
    maker.quantize(found).export_model(str(path), overwrite=True)
    return path


def edge_quantizers_figures(model, mode, calibration, work, images, expected):
    to_tflite(model, work / "float.tflite", batch_size=1)
    kinds = (True, False) if mode != "dynamic" else (True,)
    paths = (edge_quantizers_own(mode, calibration, work, norms) for norms in kinds)
    return ", ".join(f"{sqnr(path, images, expected):.1f}" for path in paths)


def converters_figure(model, mode, calibration, path, images, expected):
    try:
        converters_own(model, mode, calibration, path)
        return f"{sqnr(path, images, expected):.1f}"
    except Exception:  # whatever the converter or the runtime raises
        return "fails"


def left_out(model, calibration, images, expected, work):
    """int8 with one step of the quantizer left out at a time."""
    record(model, work / "traced", signature(model, 1), False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(work / "traced"))
    flatbuffer, batches = converter.convert(), [[x[None]] for x in calibration]
    changed = {
        "all steps": (),
        "no equalizing": ((equalizing, "pairs", lambda graph: []),),
        "kernels to the nearest step": ((calibration_look, "rounded_layers", lambda graph: []),),
        "ranges not clipped": ((Histograms, "best", lambda self, t: (self._extremes.low[t], self._extremes.high[t])),),
        "sums in 8 bits": ((quantizer, "_sums_of", lambda graph, norms: set()),),
        "no convolution in float": ((sensitivity, "most_sensitive", lambda *given: []),),
    }
    for name, changes in changed.items():
        kept = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in changes]
        for owner, attribute, stand_in in changes:
            setattr(owner, attribute, stand_in)
        (work / "step.tflite").write_bytes(quantizer.quantize(flatbuffer, "int8", batches)[0])
        for owner, attribute, original in kept:
            setattr(owner, attribute, original)
        print(f"| {name} | {sqnr(work / 'step.tflite', images, expected):.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("norms", nargs="*", default=[norm for norm in NORMS if norm != "fresh"], metavar="NORM")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--left-out", action="store_true")
    parser.add_argument("--modes", nargs="*", default=MODES, choices=MODES)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--edge", action="store_true")
    options = parser.parse_args()
    if options.random:
        rng = np.random.default_rng(1)
        calibration, images = crops(64, rng), crops(32, rng)
    else:
        (calibration, labels), (images, test_labels) = digits()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        print("| norm | mode | ours | converter | megabytes | seconds |\n|---|---|---|---|---|---|")
        for name in options.norms:
            if options.random:
                model = randomized(NORMS[name], calibration)
            else:
                model = trained(NORMS[name], calibration, labels, options.keep and options.keep / f"{name}.keras")
                right = np.argmax(model.predict(images, verbose=0), -1) == test_labels
                print(f"| {name} | per cent right | {100 * np.mean(right):.1f} | | | |")
            one_norm(name, model, calibration[:64], images[:32], work, options)


def one_norm(name, model, calibration, images, work, options):
    expected = np.concatenate([np.asarray(model(x[None], training=False)) for x in images])
    print(f"| {name} | 40 dB in | {of_noisy_input(model, images, expected):.1f} | | | |", flush=True)
    if options.left_out:
        left_out(fold(model)[0], calibration, images, expected, work)
        return
    export = to_onnx if options.onnx else to_tflite
    for mode in options.modes:
        if options.onnx and mode not in OnnxFormat.modes:
            continue
        ours, theirs = work / ("ours.onnx" if options.onnx else "ours.tflite"), work / "theirs.tflite"
        given, quantize = (None if mode in ("float16", "dynamic") else calibration), mode.replace("rounded", "dynamic")
        start = time.perf_counter()
        size = export(model, ours, quantize=quantize, calibration=given, batch_size=1).size_bytes / 1e6
        seconds, alone = time.perf_counter() - start, options.onnx or mode == "rounded"
        beside = "" if alone else converters_figure(model, mode, calibration, theirs, images, expected)
        if options.edge and mode not in ("float16", "rounded"):
            beside += f"; {edge_quantizers_figures(model, mode, calibration, work, images, expected)}"
        figures = f"{sqnr(ours, images, expected):.1f} | {beside} | {size:.1f} | {seconds:.0f}"
        print(f"| {name} | {mode} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
