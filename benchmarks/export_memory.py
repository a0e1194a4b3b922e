"""By how much the calling process grows in twenty exports, beside Keras' own export of the same model.

    python benchmarks/export_memory.py [--exports 20]

Prints Markdown: the resident megabytes gained, after one export that loads what has to be loaded. Each row is a process
of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

KINDS = {".tflite": "litert", ".onnx": "onnx"}


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(who, suffix, exports):
    import keras
    from keras_norms.export import to_onnx, to_tflite

    image = x = keras.Input((32, 32, 3), batch_size=1)
    for filters in (16, 32, 64):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.GroupNormalization(8)(keras.layers.BatchNormalization()(x)))
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    model(keras.ops.zeros((1, 32, 32, 3)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{suffix}")

        def export():
            if who == "ours":
                {".tflite": to_tflite, ".onnx": to_onnx}[suffix](model, path)
            else:
                model.export(str(path), format=KINDS[suffix], verbose=False)

        export()
        before = resident()
        for _ in range(exports):
            export()
        return resident() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exports", type=int, default=20)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(f"MB: {growth(*options.row, options.exports):.0f}")
        return
    print(f"| format | ours, MB in {options.exports} exports | Keras' export |\n|---|---|---|")
    for suffix in KINDS:
        cells = [suffix]
        for who in ("ours", "Keras"):
            command = [sys.executable, __file__, "--row", who, suffix, "--exports", str(options.exports)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            cells.append(done.stdout.rpartition("MB: ")[2].strip())
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
