"""What LiteRT's GPU accelerator takes, refuses and computes wrongly, beside what `lint` says of the same file.

    python benchmarks/gpu_accelerator.py [--models] [NAME ...]

Runs single operations (those with a NAME in theirs), or with `--models` small exported networks, on the accelerator
that ai-edge-litert brings (WebGPU). It needs a Vulkan driver; one in software will do, such as Mesa's lavapipe (25; 22
is too old):

    VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.x86_64.json python benchmarks/gpu_accelerator.py

Each file runs in a process of its own, because some end it. "error" is the largest difference from the processor, as a
share of the output's scale; the accelerator computes in half precision. Lines that `lint` did not foretell are marked.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras_norms.export import lint, to_tflite
from keras_norms.export.formats.tflite.delegates.static_checks import look_at

import keras_norms

L = keras.layers
RNG = np.random.default_rng(0)
WRONG = 0.02  # of scale: beyond what half precision explains
ELSEWHERE = ("older delegate", "broadcast", "float operation")  # findings about other delegates


RUN = """
import sys
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.interpreter import Interpreter

path, *given = sys.argv[1:]
interpreter = Interpreter(path)
interpreter.allocate_tensors()
taken, made = interpreter.get_input_details(), interpreter.get_output_details()
rng = np.random.default_rng(1)
arrays = [np.load(given[0]) if given else rng.normal(size=d["shape"]).astype("float32") for d in taken]
for detail, array in zip(taken, arrays):
    interpreter.set_tensor(detail["index"], array)
interpreter.invoke()
model = CompiledModel.from_file(path, HardwareAccelerator.GPU | HardwareAccelerator.CPU)
inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
for buffer, array in zip(inputs, arrays):
    buffer.write(array)
model.run_by_index(0, inputs, outputs)
errors = []
for detail, buffer in zip(made, outputs):
    expected = interpreter.get_tensor(detail["index"])
    got = buffer.read(expected.size, expected.dtype.type).reshape(expected.shape)
    errors.append(float(np.abs(got - expected).max() / np.abs(expected).max()))
print("ERROR", max(errors), flush=True)
"""


def constant(*shape):
    return RNG.normal(size=shape).astype("float32")


def convolve(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def operations():
    """Function and the shapes of its inputs, by name."""
    x4, x3, x2, nn = (1, 8, 8, 8), (1, 8, 8), (1, 8), tf.nn
    cases = {
        f"convolution of {g} groups, {i} to {o}": (
            partial(convolve, kernel=constant(3, 3, i // g, o)),
            (1, 8, 8, i),
        )
        for g, i, o in ((1, 8, 8), (2, 8, 8), (2, 8, 16), (8, 8, 8), (3, 6, 6), (4, 8, 8), (6, 6, 12))
    }
    for shape in ((8,), (1, 8), (3, 8), (1, 8, 8), (3, 8, 8), (8, 8), (3, 8, 8, 8), (1, 1, 8, 1)):
        rows = (3, 8) if len(shape) < 3 else (3, 8, 8, 8)[: len(shape)]
        cases[f"plus a constant {shape}"] = (
            partial(tf.add, y=constant(*shape)),
            (3, 8, 8) if shape == (8, 8) else rows,
        )
    for a, b in ((x4, (1, 8)), (x4, (8, 8, 8)), (x4, (1, 1, 1, 8)), ((2, 8, 8), (8, 8)), ((1, 8, 1, 8), (1, 1, 8, 8))):
        cases[f"{a} - {b}"] = (lambda x, y: x - y, a, b)
    for a, b in (((2, 8, 6), (2, 6, 5)), ((2, 8, 6), (1, 6, 5)), ((1, 8, 6), (6, 5)), ((2, 8, 6), (6, 5))):
        cases[f"{a} @ {b}"] = (tf.matmul, a, b)
    return cases | {
        "x @ a constant matrix": (partial(tf.tensordot, b=constant(8, 4), axes=1), x4),
        "x @ a constant batch": (partial(tf.matmul, b=constant(2, 8, 5)), (2, 6, 8)),
        "a constant @ x": (partial(tf.matmul, constant(1, 8, 8)), x3),
        "x @ x'": (lambda x: tf.matmul(x, x, transpose_b=True), x3),
        "x * x": (lambda x: x * x + 1.0, x4),
        "(x - x)^2": (lambda x: tf.math.squared_difference(x, x) + x, x4),
        "x stacked on x": (lambda x: tf.stack([x, x], 1), x3),
        "x beside x": (lambda x: tf.concat([x, x], -1), x4),
        "x[:, ::2]": (lambda x: x[:, ::2], x4),
        "x[:, ::-1]": (lambda x: x[:, ::-1], x4),
        "x[:, 0]": (lambda x: x[:, 0], x4),
        "x[:, 1:7:2], rank 2": (lambda x: x[:, 1:7:2], x2),
        "reversed": (lambda x: tf.reverse(x, [1]), x4),
        "gathered from a list": (lambda x: tf.gather(x, [0, 3, 5], axis=1), x4),
        "gathered from rows": (lambda x: tf.gather(x, [[0, 3, 5]], axis=1), x3),
        "padded": (lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]]), x4),
        "padded, rank 2": (lambda x: tf.pad(x, [[0, 0], [1, 1]]), x2),
        "padded batch": (lambda x: tf.pad(x, [[0, 1], [0, 0], [0, 0], [0, 0]]), x4),
        "reflected": (lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], "REFLECT"), x4),
        "symmetric": (lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], "SYMMETRIC"), x4),
        "chosen": (lambda x, y: tf.where(x > 0, x, y), x4, x4),
        "chosen, or a constant number": (lambda x: tf.where(x > 0, x, 0.5), x4),
        "chosen, spread": (lambda x, y: tf.where(x > 0, x, y), x4, (1, 1, 1, 8)),
        "spread": (lambda x: tf.broadcast_to(x, [1, 8, 8, 8]) * 1.0, (1, 1, 1, 8)),
        "unstacked": (lambda x: tf.unstack(x, axis=1), (1, 3, 8)),
        "stacked": (lambda x, y: tf.stack([x, y], 1), x3, x3),
        "split": (lambda x: tf.split(x, [3, 5], -1), x4),
        "tiled": (lambda x: tf.tile(x, [1, 2, 1, 1]), x4),
        "transposed": (lambda x: tf.transpose(x, [0, 3, 1, 2]), x4),
        "transposed, rank 5": (lambda x: tf.transpose(x, [0, 1, 3, 2, 4]), (1, 2, 3, 4, 5)),
        "cumulated": (lambda x: tf.cumsum(x, 1), x4),
        "softmax": (nn.softmax, x3),
        "log softmax": (nn.log_softmax, x2),
        "normalized to 1": (lambda x: tf.math.l2_normalize(x, -1), x4),
        "local response": (nn.local_response_normalization, x4),
        "mean over images": (lambda x: tf.reduce_mean(x, [1, 2]), x4),
        "mean over the batch": (lambda x: tf.reduce_mean(x, 0), (3, 8, 8, 8)),
        "scattered": (lambda x: tf.scatter_nd([[0], [2]], x, [5, 8]), (2, 8)),
        "space to batch": (lambda x: tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]]), x4),
        "depth to space": (lambda x: nn.depth_to_space(x, 2), x4),
        "nearest": (lambda x: tf.image.resize(x, [16, 16], "nearest"), x4),
        "bilinear": (lambda x: tf.image.resize(x, [16, 16]), x4),
        "GELU": (nn.gelu, x4),
        "ceiling": (tf.math.ceil, x4),
        "the two largest": (lambda x: tf.math.top_k(x, 2)[0], x2),
        "which is the largest": (lambda x: tf.argmax(x, -1, output_type=tf.int32), x2),
    }


def converted(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    concrete = tf.function(lambda *given: function(*given), input_signature=specs).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], function).convert()


def networks(work):
    """(name, file, input) of exported networks, in the form for processors and the one for GPUs."""
    x = keras.Input((32, 32, 3), name="x")
    for name, norm in {
        "group norm": lambda: keras_norms.GroupNormalization(4),
        "layer norm": lambda: keras_norms.LayerNormalization(epsilon=1e-6),
        "instance norm": keras_norms.InstanceNormalization,
        "batch norm": keras_norms.BatchNormalization,
    }.items():
        y = x
        for channels in (16, 32):
            y = L.ReLU()(norm()(L.Conv2D(channels, 3, strides=2, padding="same")(y)))
        model = keras.Model(x, L.Dense(10, name="y")(L.GlobalAveragePooling2D()(y)))
        for target in (None, "gpu"):
            path = work / f"{name}-{target}.tflite"
            to_tflite(model, path, batch_size=1, target=target)
            for scale in (1, 1000):
                given = scale * RNG.normal(size=(1, 32, 32, 3)).astype("float32")
                yield f"{name}{', for GPUs' if target else ''}, inputs of {scale}", path, given


def on_the_accelerator(path, given=None):
    """What it refused, and the largest error, or how the process ended."""
    arguments = [sys.executable, "-c", RUN, str(path)]
    if given is not None:
        np.save(path.with_suffix(".npy"), given)
        arguments.append(str(path.with_suffix(".npy")))
    done = subprocess.run(arguments, capture_output=True, text=True)
    text = done.stdout + done.stderr
    if "No adapters found" in text:
        raise SystemExit("There is no Vulkan driver: see the top of this file.")
    refused = re.search(r"not supported by GPU delegate:\n(.*?)\n(?:\d+ operations|No operations)", text, re.S)
    error = re.search(r"^ERROR (.*)", text, re.M)
    told = (
        float(error.group(1))
        if error
        else "ends the process"
        if done.returncode < 0 or "Check failed" in text
        else "fails"
    )
    return refused.group(1).replace("\n", "; ").replace("|", "or") if refused else "", told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--models", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.models:
            print("| network | error | emulated by `lint` |\n|---|---|---|")
            for name, path, given in networks(work):
                refused, error = on_the_accelerator(path, given)
                emulated = next(iter(lint(path, calibration=given).half.values()))
                told = f"{error:.1e}" if isinstance(error, float) else error
                print(f"| {name} | {refused} {told} | {emulated:.1e} |", flush=True)
            return
        print("| operation | refused | error | foretold |\n|---|---|---|---|")
        missed, tried = 0, 0
        for name, (function, *shapes) in operations().items():
            if options.names and not any(part in name for part in options.names):
                continue
            tried += 1
            (path := work / "m.tflite").write_bytes(converted(function, *shapes))
            refused, error = on_the_accelerator(path)
            findings = {f.kind for f in look_at(path, [], None, None)} - set(ELSEWHERE)
            bad = bool(refused) or isinstance(error, str) or not error <= WRONG
            missed += bad != bool(findings)
            mark = " **" if bad != bool(findings) else ""
            told = f"{error:.1e}" if isinstance(error, float) else error
            print(f"| {name} | {refused} | {told} | {', '.join(sorted(findings))}{mark} |", flush=True)
        print(f"\n{missed} of {tried} not foretold, or foretold for nothing")


if __name__ == "__main__":
    main()
