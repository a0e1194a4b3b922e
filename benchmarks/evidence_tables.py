"""The tables and the picture of evidence.py, from its runs."""

import statistics

import numpy as np
from evidence_data import CHUNK


def spread(values):
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.1f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in row) + " |" for row in rows])


def ends(runs):
    return [run["test"][-1] for run in runs]


def by_norm(runs, task, batches):
    """One row for each way to draw batches: every norm at its rate."""
    rows = []
    for way in batches:
        rates = [runs.best_rate(task, norm, way) for norm in task.norms]
        ends_of = [spread(ends(runs.tuned(task, norm, way))) for norm in task.norms]
        rows.append([way, *(f"{found} ({rate:g})" for found, rate in zip(ends_of, rates, strict=True))])
    return table(["batch", *task.norms], rows)


def by_rate(runs, task, way, rates):
    rows = [
        [
            f"{rate:g}",
            *(
                f"{statistics.mean(r['validation'] for r in runs.tried(task, norm, way, rate)):.1f}"
                for norm in task.norms
            ),
        ]
        for rate in rates
    ]
    return table(["learning rate", *task.norms], rows)


def convergence(runs, tasks, norms, way):
    """Steps until a test accuracy within a point of what the network without norms ends with."""
    rows = []
    for task in tasks:
        goal = statistics.mean(ends(runs.tuned(task, "none", way))) - 1
        row = [task.name, f"{goal:.1f}"]
        for norm in norms:
            found = [steps_to(run["test"], goal) for run in runs.tuned(task, norm, way)] if norm in task.norms else []
            hits = [steps for steps in found if steps is not None]
            row.append(f"{statistics.median(hits):.0f} ({len(hits)}/{len(found)})" if hits else "-")
        rows.append(row)
    return table(["network, data", "%", *norms], rows)


def steps_to(curve, percent):
    return next((CHUNK * (i + 1) for i, value in enumerate(curve) if value >= percent), None)


def _by_task(tasks, norms, cell):
    """A row for each task, cell(task, norm) for each of its norms."""
    rows = [[task.name, *(cell(task, norm) if norm in task.norms else "-" for norm in norms)] for task in tasks]
    return table(["network, data", *norms], rows)


def stability(runs, tasks, norms, way, rates):
    """The largest rate whose validation accuracy is within five points of that of the best rate."""

    def largest(task, norm):
        found = {rate: statistics.mean(r["validation"] for r in runs.tried(task, norm, way, rate)) for rate in rates}
        return f"{max(rate for rate, value in found.items() if value >= max(found.values()) - 5):g}"

    return _by_task(tasks, norms, largest)


def regularization(runs, tasks, norms, way, share):
    """With this share of the samples: test accuracy, and how much higher that on the training samples is."""

    def accuracies(task, norm):
        found = runs.tuned(task, norm, way, share=share)
        return f"{spread(ends(found))} (+{statistics.mean(r['training'] - r['test'][-1] for r in found):.1f})"

    return _by_task(tasks, norms, accuracies)


def initialization(runs, tasks, norms, way, scales):
    rows = []
    for task in tasks:
        for scale in scales:
            found = [spread(ends(runs.tuned(task, n, way, scale=scale))) if n in task.norms else "-" for n in norms]
            rows.append([task.name, f"{scale:g}", *found])
    return table(["network, data", "multiple", *norms], rows)


def plot(runs, tasks, batches, path):
    """The test accuracy by step, a row for each task."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(len(tasks), len(batches), figsize=(13, 2.6 * len(tasks)), squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for axis, way in zip(row, batches, strict=True):
            for norm in task.norms:
                curves = np.array([run["test"] for run in runs.tuned(task, norm, way)])
                steps = CHUNK * np.arange(1, curves.shape[1] + 1)
                (line,) = axis.plot(steps, curves.mean(axis=0), label=norm, linewidth=1.2)
                axis.fill_between(steps, curves.min(axis=0), curves.max(axis=0), alpha=0.12, color=line.get_color())
            axis.set_title(f"{task.name}: {way}", fontsize=9)
            axis.grid(alpha=0.3)
        row[0].set(ylabel="test accuracy, %")
        row[0].legend(fontsize=7)
    for axis in axes[-1]:
        axis.set(xlabel="step")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(96)  # a quarter of the bytes
    few.save(path, optimize=True)
