"""What normalization does on scikit-learn's digits: micro-batches, and four claims made for batch normalization.

    python benchmarks/micro_batches.py --out benchmarks [--resume FILE ...] [--only batches|claims]

trains multilayer perceptrons by stochastic gradient descent and writes evidence.md (tables), evidence.json (every run)
and evidence.png (curves) to the folder. Some 40 minutes on 2 cores; --seeds 1 --steps 300 gives a first look in 4.
Runs that a file of `--resume`, such as evidence.json, has are not trained again.
"""

import argparse
import functools
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf

import keras_norms as kn

CHUNK = 100  # steps between two looks at the test accuracy
BATCHES = ("32 mixed", "2 mixed", "2 classes x 16")
NORMS = ("none", "BN", "BRN", "GN", "LN")
RATES = (0.3, 0.1, 0.03, 0.01)  # the grid that every norm is tried on


def digits():
    """1,347 training and 450 test scans of 8 x 8 pixels, scaled to [0, 1]."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    return train_test_split((x / 16).astype("float32"), y.astype("int32"), test_size=450, random_state=0, stratify=y)


def norm_layer(name, steps):
    return {
        "none": lambda: keras.layers.Identity(),
        "BN": lambda: kn.BatchNormalization(),
        "BRN": lambda: kn.BatchRenormalization(schedule=kn.RenormSchedule.for_training(steps)),
        "GN": lambda: kn.GroupNormalization(groups=8),
        "LN": lambda: kn.LayerNormalization(),
    }[name]()


def build(norm, depth, init_scale, steps):
    layers = [keras.Input((64,))]
    for _ in range(depth):
        start = keras.initializers.VarianceScaling(2.0 * init_scale**2)
        layers += [keras.layers.Dense(64, kernel_initializer=start), norm_layer(norm, steps), keras.layers.ReLU()]
    return keras.Sequential([*layers, keras.layers.Dense(10)])


@functools.cache
def trainer(norm, depth, init_scale, steps):
    """A model and a function that runs CHUNK steps of gradient descent on it; traced once for all seeds."""
    model = build(norm, depth, init_scale, steps)
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    @tf.function(reduce_retracing=True)
    def run(x, y, indices, rate):
        for i in tf.range(tf.shape(indices)[0]):
            rows = indices[i]
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(cross_entropy(tf.gather(y, rows), model(tf.gather(x, rows), training=True)))
            for variable, gradient in zip(
                model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
            ):
                variable.assign_sub(rate * gradient)

    @tf.function
    def accuracy(x, y):
        right = tf.equal(tf.argmax(model(x, training=False), axis=-1, output_type=tf.int32), y)
        return tf.reduce_mean(tf.cast(right, tf.float32))

    return model, run, accuracy


def draw(labels, batches, steps, rng):
    """(steps, batch) indices of training samples."""
    if batches.endswith("mixed"):
        return rng.integers(len(labels), size=(steps, int(batches.split()[0])))
    members = [np.flatnonzero(labels == c) for c in range(10)]
    pairs = [rng.choice(10, size=2, replace=False) for _ in range(steps)]
    return np.array([np.concatenate([rng.choice(members[c], 16) for c in pair]) for pair in pairs])


def train(data, norm, batches="32 mixed", rate=0.1, seed=0, steps=3000, depth=2, init_scale=1.0):
    """Test accuracy after every CHUNK steps, in percent, and the training accuracy at the end."""
    x, x_test, y, y_test = data
    keras.utils.set_random_seed(seed)
    model, run, accuracy = trainer(norm, depth, init_scale, steps)
    model.set_weights(build(norm, depth, init_scale, steps).get_weights())
    indices = draw(y, batches, steps, np.random.default_rng(seed)).astype("int32")
    x, y, rate = tf.constant(x), tf.constant(y), tf.constant(rate)
    curve = []
    for start in range(0, steps, CHUNK):
        run(x, y, tf.constant(indices[start : start + CHUNK]), rate)
        curve.append(100 * float(accuracy(x_test, y_test)))
    return curve, 100 * float(accuracy(x, y))


def spread(values):
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.1f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in row) + " |" for row in rows])


class Runs:
    """Trains what is asked for, once, and keeps every curve."""

    def __init__(self, data, seeds, steps, files=()):
        self.data, self.seeds, self.steps, self.found = data, seeds, steps, {}
        for row in (row for file in files for row in json.loads(file.read_text())):
            runs = [(run["test"], run["training"]) for run in row.pop("runs")]
            if len(runs) == seeds:
                self.found[json.dumps(row, sort_keys=True)] = runs

    def get(self, norm, steps=None, **setting):
        setting = {"steps": steps or self.steps, **setting}
        key = json.dumps({"norm": norm, **setting}, sort_keys=True)
        if key not in self.found:
            start = time.perf_counter()
            given = {name: value for name, value in setting.items() if name != "samples"}
            data = self.first(setting.get("samples"))
            self.found[key] = [train(data, norm, seed=seed, **given) for seed in range(self.seeds)]
            print(f"{time.perf_counter() - start:6.1f} s  {key}  {spread(self.final(norm, **setting))}", flush=True)
        return self.found[key]

    def first(self, samples):
        """The data with this many of the images to train on; None for all."""
        x, x_test, y, y_test = self.data
        return x[:samples], x_test, y[:samples], y_test

    def final(self, norm, **setting):
        return [curve[-1] for curve, _ in self.get(norm, **setting)]


def micro_batches(runs):
    """Every norm at every rate, and at the best of its rates."""
    rows, best = [], []
    for batches in BATCHES:
        found = {norm: [runs.final(norm, batches=batches, rate=rate) for rate in RATES] for norm in NORMS}
        rows += [[batches, rate, *(spread(found[norm][i]) for norm in NORMS)] for i, rate in enumerate(RATES)]
        chosen = {
            norm: max(range(len(RATES)), key=lambda i, norm=norm: statistics.mean(found[norm][i])) for norm in NORMS
        }
        best.append([batches, *(f"{spread(found[norm][i])} ({RATES[i]})" for norm, i in chosen.items())])
    rates = ", ".join(map(str, RATES))
    header = (
        f"Each norm at the best of the rates {rates}, which stands behind; chosen on the test images, alike for all."
    )
    return "\n\n".join(
        [
            "## Batches",
            table(["batch", "learning rate", *NORMS], rows),
            f"## Batches, tuned\n\n{header}",
            table(["batch", *NORMS], best),
        ]
    )


def steps_to(curve, percent):
    return next((CHUNK * (i + 1) for i, value in enumerate(curve) if value >= percent), None)


def claims(runs, steps=1000):
    """Each claim against no normalization, as it comes out."""
    norms, deep = NORMS, {"steps": steps, "depth": 4}
    parts = []
    rows = []
    for rate in (0.01, 0.1):
        for norm in norms:
            reached = [steps_to(curve, 95.0) for curve, _ in runs.get(norm, rate=rate, **deep)]
            hits = [r for r in reached if r is not None]
            rows.append([rate, norm, f"{statistics.median(hits):.0f}" if hits else "-", f"{len(hits)}/{len(reached)}"])
    parts.append(
        "## Claim 1: faster convergence\n\nSteps until 95 % test accuracy (looked at every 100).\n\n"
        + table(["learning rate", "norm", "median steps", "runs that got there"], rows)
    )
    rows = [
        [rate, *(spread(runs.final(norm, rate=rate, **deep)) for norm in norms)] for rate in (0.01, 0.1, 1.0, 3.0, 10.0)
    ]
    parts.append(
        "## Claim 2: stability at high learning rates\n\nTest accuracy at the end.\n\n"
        + table(["learning rate", *norms], rows)
    )
    rows = []
    for samples in (100, 300, None):
        for norm in norms:
            found = runs.get(norm, rate=0.1, samples=samples, **deep)
            test, seen = [c[-1] for c, _ in found], [t for _, t in found]
            gap = [b - a for a, b in zip(test, seen, strict=True)]
            rows.append([samples or "all 1347", norm, spread(test), spread(seen), spread(gap)])
    parts.append(
        "## Claim 3: regularization\n\nAccuracies at the end; a smaller gap would be regularization.\n\n"
        + table(["training samples", "norm", "test", "training", "gap"], rows)
    )
    rows = [
        [scale, *(spread(runs.final(norm, rate=0.1, init_scale=scale, **deep)) for norm in norms)]
        for scale in (0.01, 0.1, 1.0, 3.0, 10.0)
    ]
    parts.append(
        "## Claim 4: insensitivity to initialization\n\nTest accuracy; weights start at a multiple of He's.\n\n"
        + table(["multiple", *norms], rows)
    )
    return parts


def plot(runs, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(BATCHES), figsize=(13, 4), sharey=True)
    for axis, batches in zip(axes, BATCHES, strict=True):
        for norm in NORMS:
            curves = np.array([c for c, _ in runs.get(norm, batches=batches, rate=0.1)])
            steps = CHUNK * np.arange(1, curves.shape[1] + 1)
            (line,) = axis.plot(steps, curves.mean(axis=0), label=norm)
            axis.fill_between(steps, curves.min(axis=0), curves.max(axis=0), alpha=0.15, color=line.get_color())
        axis.set(title=f"batches: {batches}, learning rate 0.1", xlabel="step")
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="test accuracy, % (mean, range over seeds)", ylim=(0, 101))
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--resume", type=Path, nargs="+", default=[])
    parser.add_argument("--only", choices=["batches", "claims"])
    arguments = parser.parse_args()
    runs = Runs(digits(), arguments.seeds, arguments.steps, arguments.resume)
    intro = (
        f"Digits, 64-64-64-10 perceptron ({arguments.steps} steps; the claims: four hidden layers, 1,000 steps), "
        f"plain SGD, {arguments.seeds} seeds, test accuracy in percent: mean ± standard deviation."
    )
    parts = [] if arguments.only == "claims" else [micro_batches(runs)]
    parts += [] if arguments.only == "batches" else claims(runs)
    text = "\n\n".join(["# Evidence", intro, *parts]) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evidence.md").write_text(text)
    record = [{**json.loads(key), "runs": [{"test": c, "training": t} for c, t in v]} for key, v in runs.found.items()]
    (arguments.out / "evidence.json").write_text(json.dumps(record))
    if arguments.only != "claims":
        plot(runs, arguments.out / "evidence.png")
    print(text)


if __name__ == "__main__":
    main()
