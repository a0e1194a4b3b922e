"""Try an installed wheel: import it, ask the command for its version, fold and export a tiny model.

    python smoke.py [--version X.Y.Z]

Run it with the Python of the environment that the wheel is installed in.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import keras
import keras_norms.export
from keras_norms.export import fold, to_onnx, to_tflite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default=version("keras-norms"), help="the version that must be installed")
    expected = parser.parse_args().version
    layers, export_package = (Path(module.__file__).parent for module in (keras_norms, keras_norms.export))
    assert export_package.parent == layers, "this is an editable install, not the wheel"
    assert keras_norms.__version__ == expected, keras_norms.__version__
    command = [sys.executable, "-m", "keras_norms_cli", "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert printed[:2] == ["keras-norms", expected], printed

    image = keras.Input((8, 8, 3))
    x = keras_norms.BatchRenormalization()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    x = keras.layers.GlobalAveragePooling2D()(keras_norms.GroupNormalization(2)(x))
    model = keras.Model(image, keras.layers.Dense(2)(x))
    assert len(fold(model).report.folded) == 1
    with tempfile.TemporaryDirectory() as folder:
        for export, name in ((to_tflite, "tiny.tflite"), (to_onnx, "tiny.onnx")):
            report = export(model, Path(folder) / name)
            assert report.verification.ok
            print(f"{name}: {report.size_bytes:,} bytes, error {report.verification.relative:.1e}")
    print(f"keras-norms {expected} works from {layers}")


if __name__ == "__main__":
    main()
