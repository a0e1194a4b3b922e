"""A model of more than 2 GB as an .onnx file with its weights beside it, verified; prints sizes, seconds, peak memory.

    python benchmarks/large_onnx.py FOLDER [--layers 9]

Each dense layer holds 256 MiB. Needs 14 GiB of memory and 7 GB of disk, and takes a minute.
"""

import argparse
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.external_data import data_path


def peak_gib(who):
    return resource.getrusage(who).ru_maxrss / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=9)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8192,), name="x")
    for _ in range(options.layers):
        x = keras.layers.LayerNormalization()(keras.layers.Dense(8192, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(10, name="y")(x))
    begin = time.time()
    report = to_onnx(model, options.folder / "large.onnx", progress=lambda stage: print(stage, flush=True))
    path = options.folder / "large.onnx"
    beside = data_path(path).stat().st_size
    print(f"weights {4 * model.count_params():,} bytes, {path.name} {path.stat().st_size:,}, beside it {beside:,}")
    print(f"{time.time() - begin:.0f} s, error {report.verification.relative:.1e}, {report.ops}")
    from keras_norms.export.worker.client import stop_child

    stop_child()
    here, child = peak_gib(resource.RUSAGE_SELF), peak_gib(resource.RUSAGE_CHILDREN)
    print(f"peak memory: {here:.1f} GiB here, {child:.1f} GiB in the converter's process")


if __name__ == "__main__":
    main()
