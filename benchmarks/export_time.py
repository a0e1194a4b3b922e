"""Seconds that an export takes: fold, convert and verify by `to_tflite` beside `model.export(format="litert")`.

    python benchmarks/export_time.py [--batch-size 1] [--profile]

ResNet-50 of `keras.applications` at 224 with random weights. The first export of each kind starts what later ones find
running (a child process with TensorFlow in it; TensorFlow's converter), so both are given. Prints Markdown.
"""

import argparse
import cProfile
import itertools
import os
import pstats
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras_norms.export import to_tflite


def stages(model, path, batch_size):
    """Seconds of each stage of one export."""
    marks = []
    start = time.perf_counter()
    to_tflite(model, path, batch_size=batch_size, progress=lambda stage: marks.append((stage, time.perf_counter())))
    marks.append(("end", time.perf_counter()))
    found = {stage: later - at for (stage, at), (_, later) in itertools.pairwise(marks)}
    return {**found, "all": marks[-1][1] - start}


def kerass_own(model, path):
    start = time.perf_counter()
    model.export(str(path), format="litert", verbose=False)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    model = keras.applications.ResNet50(weights=None, input_shape=(options.size, options.size, 3))
    profile = cProfile.Profile()
    print("| export | ours, s | Keras' own, s | ratio | our stages |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second", "third"):
            theirs = kerass_own(model, Path(folder) / "theirs.tflite")
            if options.profile and name == "second":
                profile.enable()
            ours = stages(model, Path(folder) / "ours.tflite", options.batch_size)
            profile.disable()
            each = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in ours.items() if stage != "all")
            total = ours["all"]
            print(f"| {name} | {total:.1f} | {theirs:.1f} | {total / theirs:.2f} | {each} |", flush=True)
    if options.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
