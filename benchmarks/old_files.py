"""How many files of Keras 2 load right: stock layers and nested forms, written by tf_keras as .h5, .keras, SavedModel.

    python benchmarks/old_files.py [--applications] [.saved ...] [NAME ...]

Each model gets random weights, is saved in each form and loaded; what it then computes is compared with tf_keras. The
table at the end counts right, refused and silently wrong. A refusal is printed with its reason. Suffixes and names pick
some; `.saved` is the folder of a SavedModel.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras_norms.export import ExportError, load
from old_file_models import APPLICATIONS, L, application, cases

SUFFIXES = {".h5": "h5", ".keras": "keras", ".saved": "tf"}


def randomize(model: Any) -> None:
    """Weights as of a trained network: kernels that keep the scale, variances and gamma around 1, others around 0."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        adapted = weight.name.rpartition("/")[2] in ("mean:0", "variance:0", "count:0", "summary:0")
        if not weight.dtype.is_floating or adapted:
            continue
        if any(part in weight.name for part in ("variance", "stddev", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4
            weight.assign(rng.normal(size=weight.shape) / np.sqrt(fan_in))


def outcome(model: Any, path: Path) -> str:
    """ "right", or why not: the reason of a refusal, or the error of what was loaded."""
    model.save(path, save_format=SUFFIXES[path.suffix])
    rng = np.random.default_rng(1)
    inputs = [rng.normal(size=[2, *x.shape[1:]]).astype("float32") for x in model.inputs]
    inputs = [np.abs(x * 3).astype("int32") % 7 if uses_ids(model) else x for x in inputs]
    want = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    try:
        loaded = load(path, prove=False).model
    except ExportError as error:
        return f"refused: {str(error).replace(str(path), path.name)[:300]}"
    got = loaded(inputs if len(inputs) > 1 else inputs[0], training=False)
    pairs = zip(keras.tree.flatten(got), keras.tree.flatten(want), strict=True)
    differences = [np.abs(np.subtract(a, b)).max() / (np.abs(b).max() or 1.0) for a, b in pairs]
    return "right" if max(differences) <= 1e-5 else f"WRONG by {max(differences):.1e} of scale"


def uses_ids(model: Any) -> bool:
    return any(isinstance(layer, L.Embedding) for layer in model.layers)


def main(names: list[str]) -> None:
    """Write, load, compare and count."""
    made = cases()
    if "--applications" in names:
        names = [name for name in names if name != "--applications"]
        made = {name: lambda name=name: application(name) for name in APPLICATIONS}  # type: ignore[misc]
    suffixes = [name for name in names if name in SUFFIXES] or list(SUFFIXES)
    names = [name for name in names if name not in SUFFIXES]
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, make in made.items():
            if names and not any(each in name for each in names):
                continue
            try:
                model = make()
                randomize(model)
            except Exception as error:
                print(f"{name}: not made: {error}")
                continue
            for suffix in suffixes:
                try:
                    found = outcome(model, Path(folder) / f"model{suffix}")
                except Exception as error:
                    found = f"not written or computed by tf_keras: {type(error).__name__}: {str(error)[:200]}"
                counts[suffix, found.partition(":")[0].partition(" by ")[0]] += 1
                if found != "right":
                    print(f"{name} {suffix}: {found}", flush=True)
    for key, count in sorted(counts.items()):
        print(*key, count)


if __name__ == "__main__":
    main(sys.argv[1:])
