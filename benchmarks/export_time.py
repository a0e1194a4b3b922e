"""Seconds that an export takes: fold, convert and verify, beside `model.export` of Keras itself.

    python benchmarks/export_time.py [--models MobileNetV2 ResNet50] [--formats tflite onnx] [--repeats 3]

Models of `keras.applications` at 224 with random weights and statistics. Each export has a process of its own, and the
kinds take turns; told are medians. Imports and the start of the child process that converts come first in each, and
are told below the table. Prints Markdown.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

KERAS_NAME = {"tflite": "litert", "onnx": "onnx"}
KINDS = {"batch_size=1": 1, "free batch": None, "model.export": None}


def seconds(what):
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def imports(form):
    """What an export imports; also what Keras' own imports later, so that neither has it in its time."""
    import keras
    import tensorflow as tf
    from keras_norms.export import to_onnx, to_tflite  # noqa: F401
    from keras_norms.export.formats import format_of
    from keras_norms.export.saved_model import record  # noqa: F401

    format_of(Path(f"x.{form}"))
    if form == "onnx":
        import tf2onnx  # noqa: F401
    else:
        tf.lite.TFLiteConverter  # noqa: B018  (a lazy import)
    return keras


def start_converter(form):
    """The child process, up to the end of its own imports: it answers any job then."""
    from keras_norms.export.formats import format_of
    from keras_norms.export.worker.client import ConversionError, run_job

    with suppress(ConversionError):
        run_job(f"{format_of(Path(f'x.{form}')).converter}:none_of_this_name")


def network(keras, name):
    """Random weights, and batch norms whose statistics are those of random images."""
    import numpy as np

    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.1, norm.beta.shape))
        norm.momentum = 0.0
    model(rng.normal(size=(4, *model.input_shape[1:])).astype("float32"), training=True)
    for norm in norms:
        norm.momentum = 0.99
    return model


def stages(model, form, batch_size, folder):
    """Seconds of each stage of one export of ours."""
    from keras_norms.export import to_onnx, to_tflite

    export, marks = {"tflite": to_tflite, "onnx": to_onnx}[form], []
    path = Path(folder) / f"ours.{form}"
    export(model, path, batch_size=batch_size, progress=lambda stage: marks.append((stage, time.perf_counter())))
    marks.append(("end", time.perf_counter()))
    found = {stage: later - at for (stage, at), (_, later) in itertools.pairwise(marks)}
    fold = found.pop("loading") + found.pop("folding")
    verify = found.pop("verifying")
    return {"fold": fold, "convert": sum(found.values()), "verify": verify}


def one(name, form, kind):
    """One export in this process, as JSON on standard output."""
    found = {"imports": seconds(lambda: imports(form))}
    import keras

    model = network(keras, name)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "model.export":
            path = str(Path(folder) / f"theirs.{form}")
            found["all"] = seconds(lambda: model.export(path, format=KERAS_NAME[form], verbose=False))
        else:
            found["child"] = seconds(lambda: start_converter(form))
            found |= stages(model, form, KINDS[kind], folder)
            found["all"] = found["fold"] + found["convert"] + found["verify"]
    print(json.dumps(found))


def in_a_process(name, form, kind):
    command = [sys.executable, __file__, "--one", name, form, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}, {form}, {kind}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["MobileNetV2", "ResNet50"])
    parser.add_argument("--formats", nargs="+", default=["tflite", "onnx"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return
    print("| model | format | ours | fold, s | convert, s | verify, s | verify / the two | all, s |", end=" ")
    print("`model.export`, s | ratio |\n|---|---|---|---|---|---|---|---|---|---|")
    starts = []
    for name, form in itertools.product(options.models, options.formats):
        turns = [{kind: in_a_process(name, form, kind) for kind in KINDS} for _ in range(options.repeats)]
        found = {kind: medians([turn[kind] for turn in turns]) for kind in KINDS}
        theirs = found.pop("model.export")["all"]
        for kind, row in found.items():
            shares = [turn[kind]["verify"] / (turn[kind]["fold"] + turn[kind]["convert"]) for turn in turns]
            ratios = [turn[kind]["all"] / turn["model.export"]["all"] for turn in turns]
            cells = [
                *(f"{row[stage]:.1f}" for stage in ("fold", "convert", "verify")),
                f"{statistics.median(shares):.2f}",
            ]
            cells += [f"{row['all']:.1f}", f"{theirs:.1f}", f"{statistics.median(ratios):.2f}"]
            print(f"| {' | '.join((name, form, kind, *cells))} |", flush=True)
            starts.append(row)
    before = medians(starts)
    print(f"\nBefore: imports {before['imports']:.1f} s, the start of the child {before['child']:.1f} s.")


if __name__ == "__main__":
    main()
