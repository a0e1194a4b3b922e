"""Group norm as different sequences of TFLite operations: which takes least time, and what each loses.

    python benchmarks/norm_sequences.py [--rounds 40]

Prints Markdown: the median of `invoke()` with XNNPACK on one thread, the ratio to Keras' own export, and the largest
errors against float64 (random input, the same at an offset of 1e4, 1234 everywhere), XNNPACK / LiteRT's own kernels.
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
from exported_norms import SHAPES, ready
from keras_norms.export.formats.tflite.runtime import TFLiteRunner

GROUPS, EPSILON = 32, 1e-3


def mean(x):
    return tf.reduce_mean(x, [1, 2], keepdims=True)


def columns_then_rows(x):
    return tf.reduce_mean(tf.reduce_mean(x, 2, keepdims=True), 1, keepdims=True)


def window(x):
    return tf.nn.avg_pool2d(x, x.shape[1:3], 1, "VALID")


def over_groups(values, gamma):
    """[1, 1, 1, C] averaged over groups: [1, G, 1], and a shape to lay it out again."""
    return tf.reduce_mean(tf.reshape(values, [1, GROUPS, len(gamma) // GROUPS]), 2, keepdims=True)


def along_channels(grouped, values):
    return tf.reshape(grouped * values.reshape(1, GROUPS, -1), [1, 1, 1, values.size])


def centred(average):
    """(x - mu) * k + beta: exact where the input is constant, and a pass more."""

    def normalize(x, gamma, beta):
        c = x - along_channels(over_groups(average(x), gamma), np.ones_like(gamma))
        return c * along_channels(tf.math.rsqrt(over_groups(average(c * c), gamma) + EPSILON), gamma) + beta

    return normalize


def total_variance(average, of_squares=None):
    """x * k + t, statistics of a channel first; the squares may be averaged in another way than x."""

    def normalize(x, gamma, beta):
        m = average(x)
        v = (of_squares or average)(tf.math.squared_difference(x, m))
        mu, m = over_groups(m, gamma), tf.reshape(m, [1, GROUPS, -1])
        variance = over_groups(tf.reshape(v, [1, GROUPS, -1]) + tf.square(m - mu), gamma)
        k = tf.math.rsqrt(variance + EPSILON) * gamma.reshape(1, GROUPS, -1)
        t = beta.reshape(1, GROUPS, -1) - mu * k
        channels = [1, 1, 1, gamma.size]
        return x * tf.reshape(k, channels) + tf.reshape(t, channels)

    return normalize


SEQUENCES = {
    "MEAN, (x - mu) k + beta": centred(mean),
    "MEAN, x k + t": total_variance(mean),
    "MEAN by rows, x k + t": total_variance(columns_then_rows),
    "MEAN by rows, MEAN of squares": total_variance(columns_then_rows, mean),
    "AVERAGE_POOL_2D, x k + t": total_variance(window),
    "AVERAGE_POOL_2D, MEAN of squares": total_variance(window, mean),
    "x gamma + beta alone": lambda x, gamma, beta: x * gamma + beta,
}


def reference(x, gamma, beta):
    z = x.astype("float64").reshape(1, -1, GROUPS, x.shape[-1] // GROUPS)
    m = z.mean((1, 3), keepdims=True)
    y = (z - m) / np.sqrt(((z - m) ** 2).mean((1, 3), keepdims=True) + EPSILON)
    return y.reshape(x.shape) * gamma + beta


def artifacts(shape, gamma, beta, folder):
    paths = {}
    for i, (name, normalize) in enumerate(SEQUENCES.items()):
        spec = [tf.TensorSpec([1, *shape], tf.float32, name="x")]
        function = tf.function(lambda x, n=normalize: {"y": n(x, gamma, beta)}, input_signature=spec)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
        paths[name] = folder / f"{i}.tflite"
        paths[name].write_bytes(converter.convert())
    inputs = keras.Input(shape, name="x")
    model = keras.Model(inputs, keras.layers.GroupNormalization(GROUPS, epsilon=EPSILON)(inputs))
    model(np.zeros((1, *shape), "float32"))
    model.layers[-1].gamma.assign(gamma)
    model.layers[-1].beta.assign(beta)
    paths["Keras' export"] = folder / "keras.tflite"
    model.export(str(paths["Keras' export"]), format="litert", verbose=False)
    return paths


def answer(runner, x):
    return next(iter(runner.run({runner.inputs[0].name: x}).values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    print("| shape | sequence | us | ratio | random | offset 1e4 | constant |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            rng = np.random.default_rng(0)
            gamma, beta = (rng.normal(size=shape[-1]).astype("float32") for _ in range(2))
            x = rng.normal(size=(1, *shape)).astype("float32")
            inputs = (x, x + np.float32(1e4), np.full_like(x, 1234.0))
            paths = artifacts(shape, gamma, beta, Path(folder))
            runners = {name: TFLiteRunner(path) for name, path in paths.items()}
            interpreters = {name: ready(path) for name, path in paths.items()}
            times = {name: [] for name in interpreters}
            for _ in range(options.rounds):
                for name, interpreter in interpreters.items():
                    start = time.perf_counter()
                    interpreter.invoke()
                    times[name].append(1e6 * (time.perf_counter() - start))
            least = float(np.median(times["Keras' export"]))
            for name, path in paths.items():
                took, errors = float(np.median(times[name])), []
                for given in inputs:
                    expected = reference(given, gamma, beta)
                    both = (runners[name], TFLiteRunner(path, kernels="builtin"))
                    errors.append(" / ".join(f"{np.abs(answer(r, given) - expected).max():.0e}" for r in both))
                cells = ("x".join(map(str, shape)), name, f"{took:.0f}", f"{took / least:.2f}", *errors)
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
