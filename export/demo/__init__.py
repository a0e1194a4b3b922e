"""The demo: train on real images with four norms, export, verify, time, and write down what came out."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..artifact.atomic_write import atomic_write, check_writable
from ..errors import ExportError
from ..report.strict_json import strict_json


class Terminal(Protocol):
    """Where the demo tells what it does; the command's terminal is one."""

    def line(self, text: str = "") -> None: ...
    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None: ...
    def status(self, text: str) -> AbstractContextManager[Any]: ...


def run(out: Path, terminal: Terminal, *, quick: bool = False):
    """Run the whole demo into the directory `out`; return its `Record`.

    Args:
        out: gets `models/`, `demo.json` and `report.html`; files of an earlier run are replaced.
        terminal: shown each model as it is done, and the tables at the end.
        quick: two epochs of a few batches, for a look at the files only.

    Raises:
        ExportError: `out` cannot be written to.
        ModuleNotFoundError: scikit-learn or matplotlib is not installed.
    """
    start = time.perf_counter()
    # Here, and not above, is everything that needs an extra or takes long to import.
    from . import data, summary
    from .make_artifacts import make
    from .network import NORMS
    from .page import page
    from .results import Record
    from .timing import on_one_thread
    from .training import RECIPES, SEED

    models = out / "models"
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"Cannot make the directory '{models}': {error.strerror}. Choose another with --out."
        ) from error
    for path in (models / "model.keras", out / "report.html"):
        check_writable(path)
    one_thread = on_one_thread()
    digits = data.load()
    recipes = RECIPES
    if quick:
        digits = digits._replace(train_images=digits.train_images[:64], train_labels=digits.train_labels[:64])
        recipes = tuple(replace(recipe, epochs=2) for recipe in RECIPES)
    terminal.line(
        f"{len(digits.train_images)} scanned digits to train on, {len(digits.test_images)} to test on; "
        f"{len(NORMS) * len(recipes)} models, up to {'one minute' if quick else 'four minutes'}."
    )
    runs = []
    for recipe in recipes:
        for norm in NORMS:
            with terminal.status(f"{norm}, batches of {recipe.batch_size}") as update:
                runs.append(make(norm, recipe, digits, models, update))
            terminal.line(_progress(runs[-1]))
    record = Record(
        runs=runs,
        recipes=recipes,
        train_images=len(digits.train_images),
        test_images=len(digits.test_images),
        seed=SEED,
        quick=quick,
        one_thread=one_thread,
        seconds=time.perf_counter() - start,
    )
    for name, text in (("demo.json", strict_json(record.to_dict())), ("report.html", page(record))):
        with atomic_write(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    for table in (summary.accuracy(record), summary.exports(record), summary.times(record)):
        terminal.line()
        terminal.table(*table)
    terminal.line()
    terminal.line(
        f"{record.seconds:.0f} s. Models in {models}, figures in {out / 'demo.json'}, report in {out / 'report.html'}."
    )
    return record


def _progress(run) -> str:
    return (
        f"{run.norm}, batches of {run.batch_size}: {run.steps} steps in {run.training_seconds:.0f} s, "
        f"{100 * run.test_accuracy[-1]:.1f} % of the test images right"
    )
