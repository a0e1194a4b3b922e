"""Norms in exported artifacts, ours against Keras' own export of the same stock-Keras model, in one run.

    python benchmarks/exported_norms.py [--rounds 15] [--resnet]

Prints Markdown: the median milliseconds of each artifact on one thread and the ratio of medians. Artifacts take turns
in every round, so that a noisy machine disturbs all alike. `--resnet` adds a ResNet-50 with group norm at 224, beside
the same network without norms; it takes several minutes and 8 GiB.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.targets import target_of

SHAPES = ((56, 56, 256), (112, 112, 64), (28, 28, 512))
RUNTIMES = {".tflite": "litert", ".onnx": "onnx"}
L = keras.layers


def layer_model(norm, shape):
    inputs = keras.Input(shape, batch_size=1, name="x")
    return keras.Model(inputs, norm()(inputs))


def resnet50(norm, size=224):
    def conv_norm(x, channels, kernel, strides, relu=True):
        x = norm()(L.Conv2D(channels, kernel, strides, "same", use_bias=False)(x))
        return L.ReLU()(x) if relu else x

    inputs = keras.Input((size, size, 3), batch_size=1, name="image")
    x = L.MaxPooling2D(3, 2, "same")(conv_norm(inputs, 64, 7, 2))
    for stage, (channels, blocks) in enumerate(((256, 3), (512, 4), (1024, 6), (2048, 3))):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            skip = x if block else conv_norm(x, channels, 1, strides, relu=False)
            y = conv_norm(conv_norm(x, channels // 4, 1, 1), channels // 4, 3, strides)
            x = L.ReLU()(L.Add()([skip, conv_norm(y, channels, 1, 1, relu=False)]))
    return keras.Model(inputs, L.Dense(1000)(L.GlobalAveragePooling2D()(x)))


def group_norm():
    return L.GroupNormalization(32, gamma_initializer="uniform", beta_initializer="uniform")


def layer_norm():
    return L.LayerNormalization(gamma_initializer="uniform", beta_initializer="uniform")


def artifacts(model, suffix, folder):
    """{'ours': path, 'Keras': path} of one model."""
    paths = {who: folder / f"{who}{suffix}" for who in ("ours", "Keras")}
    {".tflite": to_tflite, ".onnx": to_onnx}[suffix](model, paths["ours"])
    model(np.zeros(model.inputs[0].shape, "float32"))
    model.export(str(paths["Keras"]), format=RUNTIMES[suffix], verbose=False)
    return paths


def medians(paths, rounds):
    """Median milliseconds of one inference of each artifact, the artifacts taking turns."""
    runners = {who: next(iter(target_of(path).runners(path).values())) for who, path in paths.items()}
    rng, feeds, times = np.random.default_rng(0), {}, {who: [] for who in paths}
    for who, runner in runners.items():
        shapes = {spec.name: [n or 1 for n in spec.shape] for spec in runner.inputs}
        feeds[who] = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
        runner.run(feeds[who])
    for _ in range(rounds):
        for who, runner in runners.items():
            start = time.perf_counter()
            runner.run(feeds[who])
            times[who].append(1e3 * (time.perf_counter() - start))
    return {who: float(np.median(values)) for who, values in times.items()}


def row(name, suffix, found):
    cells = (name, suffix, f"{found['ours']:.2f}", f"{found['Keras']:.2f}", f"{found['ours'] / found['Keras']:.2f}")
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--resnet", action="store_true")
    options = parser.parse_args()
    print("| model | format | ours, ms | Keras' export, ms | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for name, norm in (("group norm", group_norm), ("layer norm", layer_norm)):
            for shape in SHAPES:
                for suffix in RUNTIMES:
                    paths = artifacts(layer_model(norm, shape), suffix, Path(work))
                    row(f"{name} {'x'.join(map(str, shape))}", suffix, medians(paths, options.rounds))
        if options.resnet:
            for suffix in RUNTIMES:
                with_norm = medians(artifacts(resnet50(group_norm), suffix, Path(work)), options.rounds)
                without = medians(artifacts(resnet50(L.Identity), suffix, Path(work)), options.rounds)
                row("ResNet-50, group norm", suffix, with_norm)
                row("ResNet-50, no norm", suffix, without)
                row("what the norms add", suffix, {who: with_norm[who] - without[who] for who in with_norm})


if __name__ == "__main__":
    main()
