"""Norms in .tflite files, ours against Keras' own export of the same stock-Keras model, in one run.

    python benchmarks/exported_norms.py [--rounds 15] [--resnet] [--folder DIR]

Prints Markdown: the median milliseconds of LiteRT's `invoke()` on one thread, as its own benchmark tool counts (no copy
of input or output), and the ratio of medians. Artifacts take turns, in alternating order, so that a noisy machine
disturbs all alike. `--resnet` adds a ResNet-50 with group norm at 224 beside the same network without norms, and what
the norms add: the median difference within a round. It takes several minutes and 8 GiB. Files that lie in `--folder`
from a run before are not made again. For .onnx files see exported_onnx.py.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import to_tflite

SHAPES = ((56, 56, 256), (112, 112, 64), (28, 28, 512))
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


def artifacts(make, name, folder):
    """{'ours': path, 'Keras': path} of one model."""
    paths = {who: folder / f"{name} {who}.tflite" for who in ("ours", "Keras")}
    if not all(path.is_file() for path in paths.values()):
        model = make()
        to_tflite(model, paths["ours"])
        model.export(str(paths["Keras"]), format="litert", verbose=False)
    return paths


def ready(path):
    """An interpreter of one thread that holds a random input."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    values = np.random.default_rng(0).normal(size=given["shape"]).astype("float32")
    interpreter.set_tensor(given["index"], values)
    interpreter.invoke()
    return interpreter


def timed(paths, rounds):
    """Milliseconds of one inference of each artifact, one a round, the artifacts taking turns."""
    interpreters = {who: ready(path) for who, path in paths.items()}
    times = {who: [] for who in paths}
    for turn in range(rounds):
        for who, interpreter in list(interpreters.items())[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            interpreter.invoke()
            times[who].append(1e3 * (time.perf_counter() - start))
    return {who: np.array(values) for who, values in times.items()}


def row(name, times):
    ours, keras_export = (float(np.median(times[who])) for who in ("ours", "Keras"))
    cells = (name, f"{ours:.2f}", f"{keras_export:.2f}", f"{ours / keras_export:.2f}")
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print("| model | ours, ms | Keras' export, ms | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.folder or Path(temporary)
        work.mkdir(exist_ok=True)
        for kind, norm in (("group norm", group_norm), ("layer norm", layer_norm)):
            for shape in SHAPES:
                name = f"{kind} {'x'.join(map(str, shape))}"
                row(name, timed(artifacts(partial(layer_model, norm, shape), name, work), options.rounds))
        if options.resnet:
            both = ("ResNet-50, group norm", group_norm), ("ResNet-50, no norm", L.Identity)
            paths = {name: artifacts(partial(resnet50, norm), name, work) for name, norm in both}
            turns = {(name, who): path for name, of in paths.items() for who, path in of.items()}
            found = timed(turns, options.rounds)
            each = {name: {who: found[name, who] for who in paths[name]} for name in paths}
            for name in each:
                row(name, each[name])
            with_norm, without = each.values()
            row("what the norms add", {who: with_norm[who] - without[who] for who in with_norm})


if __name__ == "__main__":
    main()
