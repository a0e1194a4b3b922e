"""What int8 files gain where the gamma of a layer norm goes into the layers behind it, by how much it spreads.

    python benchmarks/folded_gamma.py [--seeds 1]

A transformer encoder of two blocks with random weights; gamma is log-normal of the given deviation. Decibels of the
output on 64 inputs that the calibration has not seen, and operations of the file, with `fold` and without: the network
has no batch norm, so nothing else folds.
"""

import argparse
import itertools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras_norms.export import to_onnx, to_tflite
from runtimes import runner

SPREADS, WRITERS = (0.2, 0.5, 1.0), {".tflite": to_tflite, ".onnx": to_onnx}
SHAPE = (32, 24)
L = keras.layers


def encoder(width=64, heads=4, blocks=2):
    x = keras.Input(SHAPE, name="x")
    y = L.Dense(width)(x)
    for _ in range(blocks):
        z = L.LayerNormalization()(y)
        y = L.Add()([y, L.MultiHeadAttention(heads, width // heads)(z, z)])
        z = L.LayerNormalization()(y)
        y = L.Add()([y, L.Dense(width)(L.Dense(2 * width, activation="relu")(z))])
    return keras.Model(x, L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(y))))


def spread(model, deviation, rng):
    for weight in model.weights:
        name = weight.path.rpartition("/")[-1]
        if name == "gamma":
            weight.assign(rng.lognormal(0, deviation, weight.shape))
        elif name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def decibels(model, path, x):
    artifact = runner(path)
    made = np.concatenate([next(iter(artifact.run({artifact.inputs[0].name: row[None]}).values())) for row in x])
    exact = model.predict(x, verbose=0)
    return 10 * np.log10(np.sum(exact**2) / np.sum((made - exact) ** 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    print("| spread | file | dB | without `fold` | operations | without `fold` |\n|---|---|---|---|---|---|")
    for seed, deviation, suffix in itertools.product(range(options.seeds), SPREADS, WRITERS):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        model = spread(encoder(), deviation, rng)
        seen, unseen = rng.normal(size=(2, 64, *SHAPE)).astype("float32")
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for fold in (True, False):
                path = Path(folder) / f"{fold}{suffix}"
                how = {"quantize": "int8", "calibration": seen, "batch_size": 1, "fold": fold, "tolerance": 0.5}
                report = WRITERS[suffix](model, path, **how)
                found.append((f"{decibels(model, path, unseen):.1f}", sum(report.ops.values())))
        (db, ops), (without, more) = found
        print(f"| {deviation} | {suffix} | {db} | {without} | {ops} | {more} |", flush=True)


if __name__ == "__main__":
    main()
