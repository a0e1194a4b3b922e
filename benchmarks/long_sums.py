"""Means over thousands of numbers: at once and in stages, in LiteRT and ONNX Runtime, on one thread.

    python benchmarks/long_sums.py [--rounds 31]

Prints Markdown: the largest error against float64 as a share of the result (uniform numbers, one number everywhere),
and the median of the ratio of times, in stages to at once, of a network ReLU -> mean.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import onnx_ir as ir
import tensorflow as tf
from keras_norms.export.formats.onnx.passes.pass_types import PassOptions
from keras_norms.export.formats.onnx.passes.reduce_in_stages import reduce_in_stages
from keras_norms.export.formats.onnx.runtime import OnnxRunner
from keras_norms.export.formats.stages import SINGLE
from keras_norms.export.formats.tflite.convert.stage_sums import in_stages
from keras_norms.export.formats.tflite.runtime import TFLiteRunner

# The shape and the axes of the mean.
CASES = (
    ((1, 112, 112, 64), (1, 2)),
    ((1, 224, 224, 32), (1, 2)),
    ((1, 512, 512, 16), (1, 2)),
    ((1, 10_000, 16), (1,)),
    ((1, 100_000, 16), (1,)),
    ((1, 100_000), (1,)),
    ((1, 10_007, 16), (1,)),  # a prime, which needs zeros behind it
    ((1, 32, 32, 32, 8), (1, 2, 3)),
)
ONNX = '<ir_version: 9, opset_import: ["" : 18]> g (float{shape} x) => (float{made} y) <int64[{n}] a = {{{axes}}}> '
ONNX += "{{ r = Relu(x)  y = ReduceMean <keepdims = 0> (r, a) }}"


def tflite_files(shape, axes, path):
    spec = [tf.TensorSpec(shape, tf.float32, name="x")]
    function = tf.function(lambda x: {"y": tf.reduce_mean(tf.nn.relu(x), axes)}, input_signature=spec)
    made = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    path.write_bytes(made)
    staged = path.with_stem(f"{path.stem}_staged")
    staged.write_bytes(in_stages(made, SINGLE))
    return path, staged


def onnx_files(shape, axes, path):
    left = [n for i, n in enumerate(shape) if i not in axes]
    text = ONNX.format(shape=list(shape), made=left, n=len(axes), axes=", ".join(map(str, axes)))
    proto = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text))
    model, staged = ir.from_proto(proto), path.with_stem(f"{path.stem}_staged")
    ir.save(model, path)
    reduce_in_stages(model, PassOptions())
    for i, node in enumerate(model.graph):
        node.name = f"node_{i}"
    ir.save(model, staged)
    return path, staged


def compare(runners, shape, axes, rounds):
    """The errors of the two, and the ratio of their times."""
    rng, errors = np.random.default_rng(0), [0.0, 0.0]
    for x in (np.full(shape, 0.1, "float32"), rng.uniform(size=shape).astype("float32")):
        expected = x.astype("float64").mean(axes)
        for i, runner in enumerate(runners):
            (y,) = runner.run({runner.inputs[0].name: x}).values()
            errors[i] = max(errors[i], np.abs(y - expected).max() / np.abs(expected).max())
    ratios = []
    for _ in range(rounds):
        times = []
        for runner in runners:
            start = time.perf_counter()
            runner.run({runner.inputs[0].name: x})
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    return f"{errors[0]:.0e} to {errors[1]:.0e}, {np.median(ratios):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    print("| shape | XNNPACK | LiteRT's own kernels | ONNX Runtime |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for shape, axes in CASES:
            files, graphs = (
                tflite_files(shape, axes, Path(folder) / "m.tflite"),
                onnx_files(shape, axes, Path(folder) / "m.onnx"),
            )
            pairs = [[TFLiteRunner(path, kernels=kernels) for path in files] for kernels in ("xnnpack", "builtin")]
            pairs.append([OnnxRunner(path, threads=1) for path in graphs])
            cells = [compare(pair, shape, axes, options.rounds) for pair in pairs]
            print("| " + " | ".join(("x".join(map(str, shape)), *cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
