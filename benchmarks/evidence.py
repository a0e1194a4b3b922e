"""What normalization does, on five small tasks with real data: batches of every kind, and four claims made for it.

    pip install --no-deps scikit-image plotnine aeon     (files of data in them are read, nothing is imported)
    python benchmarks/evidence.py --out benchmarks [--tasks NAME ...] [--resume FILE ...] [--seeds 5] [--shorter 1]

writes evidence.md (tables), evidence.json (every run) and evidence.png (curves) to the folder. Some 90 minutes on one
core; `--seeds 1 --shorter 10` gives a first look. Runs that a file of `--resume`, such as evidence.json, has are not
trained again. Everything runs on Keras' JAX backend, whose compiled steps are the fastest for networks as small.

Each norm is tuned alike: of six rates the one with the best validation accuracy, mean of two seeds. Nothing is
chosen by the test samples.
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "jax"

import evidence_data as data_sets
import evidence_networks as networks
import evidence_tables as tables
from evidence_data import BATCHES
from evidence_networks import NORMS
from evidence_training import train

# By the size of the batches: the rates that every norm is tried at, and the steps of a training.
RATES = {32: (1.0, 0.3, 0.1, 0.03, 0.01, 0.003), 2: (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)}
STEPS = {32: 1000, 2: 2000}
SHARE = 0.2  # of the training samples, in the claim of regularization
SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the initial weights
MIXED = BATCHES[0]


@dataclass(frozen=True)
class Task:
    name: str
    data: object
    build: object
    norms: tuple


TASKS = (
    Task("perceptron, digits", data_sets.digits, networks.perceptron, NORMS),
    Task("perceptron, diamonds", data_sets.diamonds, networks.perceptron, NORMS),
    Task("CNN, digits", data_sets.digits, networks.convolutional, (*NORMS, "IN")),
    Task("CNN, pictures", data_sets.pictures, networks.convolutional, (*NORMS, "IN")),
    Task("LSTM, vowels", data_sets.vowels, networks.recurrent, (*NORMS, "LN within")),
)
ALL_NORMS = (*NORMS, "IN", "LN within")


def size_of(batches):
    return int(batches.split()[0])


class Runs:
    """Trains what is asked for, once, and keeps every run."""

    def __init__(self, seeds, shorter, record, files=()):
        self.seeds, self.shorter, self.record, self.found, self.chosen = seeds, shorter, record, {}, set()
        for row in (row for file in files for row in json.loads(file.read_text())):
            self.found[json.dumps(row.pop("setting"), sort_keys=True)] = row["runs"]

    def get(self, task, norm, batches, rate, seeds, **others):
        """One run for each seed from 0 on."""
        steps = STEPS[size_of(batches)] // self.shorter
        setting = {"task": task.name, "norm": norm, "batches": batches, "rate": rate, "steps": steps, **others}
        key = json.dumps(setting, sort_keys=True)
        runs = self.found.setdefault(key, [])
        if seeds == self.seeds:
            self.chosen.add(key)
        data = task.data().first(others.get("share", 1.0))
        start = time.perf_counter()
        for seed in range(len(runs), seeds):
            given = {"batches": batches, "rate": rate, "seed": seed, "steps": steps}
            runs.append(train(task.build, data, norm, **given, scale=others.get("scale", 1.0)))
            if seed == seeds - 1:
                print(f"{time.perf_counter() - start:5.1f} s {setting} {tables.spread(tables.ends(runs))}", flush=True)
                self.save()
        return runs[:seeds]

    def tried(self, task, norm, batches, rate):
        """The runs that a rate is judged by."""
        return self.get(task, norm, batches, rate, min(2, self.seeds))

    def best_rate(self, task, norm, batches):
        def validation(rate):
            return statistics.mean(run["validation"] for run in self.tried(task, norm, batches, rate))

        return max(RATES[size_of(batches)], key=validation)

    def tuned(self, task, norm, batches, **others):
        """The runs at the best rate; with `share` or `scale`, at the rate that is best without."""
        others = {name: value for name, value in others.items() if value != 1.0}
        return self.get(task, norm, batches, self.best_rate(task, norm, batches), self.seeds, **others)

    def save(self):
        """Every setting with its runs, a line each; `chosen` says that the tables of accuracy show it."""
        rows = [
            {"setting": json.loads(key), "chosen": key in self.chosen, "runs": runs} for key, runs in self.found.items()
        ]
        lines = ",\n".join(json.dumps(row) for row in rows)
        self.record.write_text(f"[\n{lines}\n]\n")


def _grid(size, runs):
    rates = ", ".join(f"{rate:g}" for rate in RATES[size])
    return f"{STEPS[size] // runs.shorter:,} steps with batches of {size}, from the best of {rates}"


def report(runs, tasks):
    """The tables, as Markdown."""
    parts = [
        "# Evidence",
        f"Test accuracy in percent, mean ± standard deviation of {runs.seeds} seeds. Gradient descent, momentum .9, "
        f"the rate falling along a cosine to zero: {_grid(32, runs)}; {_grid(2, runs)}. Each norm has, for each kind "
        "of batch, the rate with the best validation accuracy (mean of two seeds), which stands in parentheses. "
        "The norms have their default arguments; group norm has eight groups; batch renorm follows a schedule for the "
        'training. "None" is the same network without norms. Data: the docstrings of evidence_data.py; networks: those '
        "of evidence_networks.py.",
    ]
    for task in tasks:
        parts += [f"## {task.name}", tables.by_norm(runs, task, BATCHES)]
    parts += ["## Curves", "Mean and range over the seeds.", "![test accuracy by step](evidence.png)"]
    shared = (runs, tasks, ALL_NORMS, MIXED)
    parts += [
        "## Claim 1: faster convergence",
        "Mixed batches of 32: median of the steps until the test accuracy (looked at every 50) is within a point of "
        "what the network without norms ends with, and how many runs get there.",
        tables.convergence(*shared),
        "## Claim 2: stability at high learning rates",
        "Mixed batches of 32: the largest rate of the grid whose validation accuracy is within five points of the best "
        "rate's.",
        tables.stability(*shared, RATES[32]),
        "## Claim 3: regularization",
        f"Mixed batches of 32, {100 * SHARE:g} % of the training samples, the rates of all samples: test accuracy, and "
        "how much higher the accuracy on the training samples is.",
        tables.regularization(*shared, SHARE),
        "## Claim 4: less care in initialization",
        "Mixed batches of 32, weights that start at a multiple of He's (of Glorot's in the LSTM), the rates of 1.",
        tables.initialization(*shared, SCALES),
        "## Validation accuracy by rate",
        "Two seeds; what the rates were chosen by.",
    ]
    for task in tasks:
        for way in BATCHES:
            parts += [f"### {task.name}, {way}", tables.by_rate(runs, task, way, RATES[size_of(way)])]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shorter", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", choices=[task.name for task in TASKS])
    parser.add_argument("--resume", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in TASKS if not arguments.tasks or task.name in arguments.tasks]
    runs = Runs(arguments.seeds, arguments.shorter, arguments.out / "evidence.json", arguments.resume)
    text = report(runs, tasks)
    runs.save()
    (arguments.out / "evidence.md").write_text(text)
    tables.plot(runs, tasks, BATCHES, arguments.out / "evidence.png")
    print(text)


if __name__ == "__main__":
    main()
