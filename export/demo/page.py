"""The demo's HTML report."""

from __future__ import annotations

from ..report import chart, html
from . import summary
from .data import Digits
from .predictions import predictions
from .results import Record, machine
from .story import story
from .summary import Table
from .training import Recipe

_NOISE = (
    "One training each, with one seed: on {n} images a difference of up to two per cent may well be chance. "
    "Nothing was tuned for one of the norms, and nothing was left out."
)
_SETTINGS = (
    "Mixed batches of 32 are what norms are made for, and there all of these do alike. The other setting was chosen to "
    "show where a norm can fail: of the four kinds of batches of the project's tables (32 or 2 images, mixed or of few "
    "classes) it is the hardest for batch norm, which normalizes by the batch in training and by moving averages "
    "afterwards. Recordings and sorted folders come like this. All norms have the same rate, the usual one for the "
    "size of the batch."
)


def page(record: Record, digits: Digits) -> str:
    """The page as HTML: the whole in one picture, accuracy, examples, curves, exports, times, circumstances."""
    sections = [
        html.section("In one picture", "", html.wide(story(record))),
        _accuracy(record),
        html.section("What the files say", "", predictions(record, digits)),
        _curves(record),
        _exports(record),
        _times(record),
        _circumstances(record),
    ]
    lead = (
        f"A small residual CNN, trained on {record.train_images:,} scanned digits without a norm and with three, on "
        "two kinds of batches, then folded, exported to TFLite and ONNX, verified in the real runtimes, and timed."
    )
    if record.quick:
        lead = "A quick run to see that everything works: its accuracies mean nothing. " + lead
    return html.page("keras-norms demo", lead, sections)


def _accuracy(record: Record) -> str:
    text = f"{_SETTINGS} {_NOISE.format(n=record.test_images)}"
    return html.section("Accuracy", text, _table(summary.accuracy(record)))


def _curves(record: Record) -> str:
    figures = []
    losses = [value for run in record.runs for value in run.loss]
    correct = [100 * value for run in record.runs for value in run.test_accuracy]
    for recipe in record.recipes:
        runs = [record.run(norm, recipe.batch_size) for norm in record.norms]
        epochs = chart.Axis("epoch", 1, max(max(run.epochs for run in runs), 2), counts=True)
        loss = chart.Axis("training loss", max(min(losses), 1e-4) / 1.5, max(losses) * 1.2, log=True)
        right = chart.Axis("test images right", 10 * (min(correct) // 10), 100, unit="%")
        for axis, scale, values in ((loss, 1, "loss"), (right, 100, "test_accuracy")):
            lines = {
                run.norm: [(epoch, scale * value) for epoch, value in enumerate(getattr(run, values), start=1)]
                for run in runs
            }
            figures.append(chart.line_chart(f"{recipe.batches.capitalize()}: {axis.label}", epochs, axis, lines))
    charts = f'<div class="charts">\n{chr(10).join(figures)}\n</div>'
    numbers = html.folded_away("The curves as numbers", _curve_table(record))
    return html.section("Training", "", charts, numbers)


def _curve_table(record: Record) -> str:
    epochs = max(run.epochs for run in record.runs)
    columns = ["model", *(f"epoch {epoch}" for epoch in range(1, epochs + 1))]
    rows = [[summary.name(run), *(f"{100 * value:.1f}" for value in run.test_accuracy)] for run in record.runs]
    return html.table("Test images right, %", columns, rows)


def _exports(record: Record) -> str:
    text = (
        "Batch norm and batch renorm merge into the convolutions and are gone: what is left is the network without a "
        "norm. Group norm computes statistics of each image, so it stays, as plain arithmetic that both "
        "runtimes have built in. A file is written only if its runtime computes what the model does."
    )
    return html.section("Exports", text, _table(summary.exports(record)))


def _times(record: Record) -> str:
    text = (
        "The same images one by one. Keras runs as a compiled TensorFlow function on "
        f"{'one thread' if record.one_thread else 'all cores'}, LiteRT and ONNX Runtime on one thread."
    )
    return html.section("Time for an image", text, _table(summary.times(record), bars=True))


def _circumstances(record: Record) -> str:
    found = machine()
    rows = [
        ["processor", f"{found['processor']}, {found['cores']} cores"],
        ["system", f"{found['platform']}, Python {found['python']}"],
        ["packages", ", ".join(f"{name} {number}" for name, number in found["packages"].items())],
        ["training", "; ".join(map(_recipe, record.recipes)) + f"; seed {record.seed}"],
        [
            "duration",
            f"{record.seconds:.0f} s, of which training {sum(run.training_seconds for run in record.runs):.0f} s",
        ],
        ["data", "scikit-learn's digits: Alpaydin and Kaynak, UCI repository, 1998"],
    ]
    return html.section("Circumstances", "", html.table("What the figures depend on", ["", ""], rows, text=(1,)))


def _recipe(recipe: Recipe) -> str:
    return (
        f"{recipe.batches}: {recipe.epochs} epochs of Adam, cosine decay from {recipe.learning_rate:g}, "
        f"momentum of the batch norms {recipe.momentum:g}"
    )


def _table(table: Table, bars: bool = False) -> str:
    return html.table(table.title, table.columns, table.rows, bars=bars)
