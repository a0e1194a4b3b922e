"""What folding buys: milliseconds of one image, folded against unfolded, in Keras, a served SavedModel, LiteRT and ORT.

    python benchmarks/fold_gains.py prepare CACHE [--standalone] NAME [NAME ...]
    python benchmarks/fold_gains.py time CACHE [--rounds 25] NAME [NAME ...]

`prepare` folds and exports architectures of keras.applications (random weights and statistics) into the folder CACHE;
what is there already is kept, so it can be cut short. `time` prints Markdown: medians on one thread at batch 1, all
variants taking turns in every round. "keras" is Keras' own export of the unfolded model. With `--standalone` there is
one more variant: `fold(model, standalone="depthwise")`, for networks in which norms stay: fewer operations, but a norm
then costs what a 1x1 depthwise convolution does. It gains in ONNX Runtime; in LiteRT the converter's own multiplication
and addition are as fast.
"""

import argparse
import collections
import json
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from fold_zoo import randomize
from keras_norms.export import fold, to_onnx, to_tflite
from keras_norms.export.formats import format_of
from runtimes import runner

OURS = ("unfolded", "folded", "standalone")
SUFFIXES = {"LiteRT": ".tflite", "ONNX Runtime": ".onnx"}
EXPORTS = {".tflite": (to_tflite, "litert"), ".onnx": (to_onnx, "onnx")}


def say(text):
    print(text, file=sys.stderr, flush=True)


def once(path, make):
    """Make a file or folder unless it is there; it appears whole or not at all."""
    if path.exists():
        return
    start, partial = time.perf_counter(), path.with_name(f"partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    make(partial)
    partial.rename(path)
    say(f"{path} {time.perf_counter() - start:.0f} s")


def prepare(folder, name, standalone):
    folder.mkdir(parents=True, exist_ok=True)
    once(folder / "unfolded.keras", lambda to: randomize(architecture(name)).save(to))
    model = keras.saving.load_model(folder / "unfolded.keras")
    models = {"unfolded": model, "folded": fold(model).model}
    if standalone:
        models["standalone"], report = fold(model, standalone="depthwise")
        rules = collections.Counter(
            "standalone" if r.rule.startswith("standalone") else "folded" for r in report.folded
        )
        (folder / "counts.json").write_text(json.dumps({**rules, "kept": len(report.kept)}))
    for variant, made in models.items():
        once(folder / f"{variant}.keras", made.save)
        once(folder / f"{variant}.saved", lambda to, made=made: made.export(str(to), verbose=False))
        for suffix, (export, _) in EXPORTS.items():
            once(folder / f"{variant}{suffix}", lambda to, made=made, export=export: export(made, to, fold=False))
    for suffix, (_, kind) in EXPORTS.items():
        once(folder / f"keras{suffix}", lambda to, kind=kind: model.export(str(to), format=kind, verbose=False))


def architecture(name):
    return getattr(keras.applications, name)(weights=None)


def single_threaded():
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)


def runs(folder):
    """{(runtime, variant): a function that runs one image}"""
    made = {}
    for variant in OURS:
        if not (folder / f"{variant}.keras").exists():
            continue
        model = keras.saving.load_model(folder / f"{variant}.keras")
        x = np.random.default_rng(0).uniform(-1, 1, (1, *model.input_shape[1:])).astype("float32")
        made["Keras", variant] = lambda model=model, x=x: model.predict_on_batch(x)
        served = tf.saved_model.load(str(folder / f"{variant}.saved"))
        tensor = tf.constant(x)
        made["SavedModel", variant] = lambda served=served, x=tensor: served.serve(x).numpy()
    for runtime, suffix in SUFFIXES.items():
        for variant in (*OURS, "keras"):
            path = folder / f"{variant}{suffix}"
            if path.exists():
                artifact = runner(path)
                # Keras' ONNX file of EfficientNetB0 asks for the constants of its normalization, too.
                shapes = {spec.name: tuple(n or 1 for n in spec.shape) for spec in artifact.inputs}
                feed = {name: x if shape == x.shape else np.ones(shape, "float32") for name, shape in shapes.items()}
                made[runtime, variant] = lambda artifact=artifact, feed=feed: artifact.run(feed)
    return made


def medians(made, rounds):
    times = collections.defaultdict(list)
    for run in made.values():
        run()
    for _ in range(rounds):
        for key, run in made.items():
            start = time.perf_counter()
            run()
            times[key].append(1e3 * (time.perf_counter() - start))
    return {key: float(np.median(values)) for key, values in times.items()}


def optimized(path):
    """How many nodes ONNX Runtime is left with."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    count = len(onnx.load(options.optimized_model_filepath, load_external_data=False).graph.node)
    Path(options.optimized_model_filepath).unlink()
    return count


def operations(folder, runtime, variant):
    path = folder / f"{variant}{SUFFIXES[runtime]}"
    return optimized(path) if runtime == "ONNX Runtime" else sum(format_of(path).op_counts(path).values())


def report(folder, name, rounds):
    found = medians(runs(folder), rounds)
    variants = [v for v in (*OURS, "keras") if any(v == variant for _, variant in found)]
    counts = folder / "counts.json"
    if counts.exists():
        print(f"\n{name}: {json.loads(counts.read_text())}")
    for runtime in dict.fromkeys(runtime for runtime, _ in found):
        cells = [f"{found[runtime, v]:.1f}" if (runtime, v) in found else "" for v in variants]
        ratio = found[runtime, "folded"] / found[runtime, "unfolded"]
        if "standalone" in variants:
            cells.append(f"{found[runtime, 'standalone'] / found[runtime, 'folded']:.2f}")
        ops = [str(operations(folder, runtime, v)) if runtime in SUFFIXES else "" for v in variants]
        print(
            f"| {name} | {runtime} | {' | '.join(cells)} | {ratio:.2f} | {', '.join(filter(None, ops))} |", flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "time"))
    parser.add_argument("cache", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--standalone", action="store_true")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    single_threaded()
    for name in options.names:
        if options.what == "prepare":
            prepare(options.cache / name, name, options.standalone)
        else:
            report(options.cache / name, name, options.rounds)


if __name__ == "__main__":
    main()
