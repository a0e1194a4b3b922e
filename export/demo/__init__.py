"""The demo: train on real images with and without norms, export, verify and time; write the figures down."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..artifact.atomic_write import atomic_write, check_writable
from ..errors import ExportError
from ..report.strict_json import strict_json

if TYPE_CHECKING:
    from .data import Digits
    from .results import Record, Run
    from .training import Recipe


class Terminal(Protocol):
    """Where the demo shows its progress and its tables. The terminal of the command is one."""

    def line(self, text: str = "") -> None: ...
    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None: ...
    def status(self, text: str) -> AbstractContextManager[Any]: ...


def run(out: Path, terminal: Terminal, *, quick: bool = False) -> Record:
    """Run the whole demo into the directory `out`; return its `Record`.

    Args:
        out: gets `models/`, `demo.json` and `report.html`; files of an earlier run are replaced.
        terminal: shows each model as it is done, and the tables at the end.
        quick: train each model for two epochs of a few batches. Every file is written, but the figures mean nothing.

    Raises:
        ExportError: If `out` cannot be written to.
        ModuleNotFoundError: If scikit-learn or matplotlib is not installed.
    """
    start = time.perf_counter()
    # The modules that need an extra or take long to import are imported here and below, not at the top.
    from . import data
    from .measure_inference import on_one_thread
    from .page import page
    from .results import Record
    from .training import RECIPES, SEED

    models = _make_directory(out)
    one_thread = on_one_thread()
    digits, recipes = data.load(), RECIPES
    if quick:
        digits = digits._replace(train_images=digits.train_images[:64], train_labels=digits.train_labels[:64])
        recipes = tuple(replace(recipe, epochs=2) for recipe in RECIPES)
    runs = _train_all(digits, recipes, models, terminal, quick)
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
    for name, text in (("demo.json", strict_json(record.to_dict())), ("report.html", page(record, digits))):
        with atomic_write(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    _show(record, out, terminal)
    return record


def _make_directory(out: Path) -> Path:
    """Make the directory for the models, and see that everything can be written, before any training."""
    models = out / "models"
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"Cannot make the directory '{models}': {error.strerror}. Choose another with --out."
        ) from error
    for path in (models / "model.keras", out / "demo.json", out / "report.html"):
        check_writable(path)
    return models


def _train_all(digits: Digits, recipes: tuple[Recipe, ...], models: Path, terminal: Terminal, quick: bool) -> list[Run]:
    """Every norm with every recipe."""
    from .network import NORMS
    from .train_and_export import train_and_export

    terminal.line(
        f"{len(digits.train_images)} scanned digits to train on, {len(digits.test_images)} to test on; "
        f"{len(NORMS) * len(recipes)} models, up to {'one minute' if quick else 'three minutes'}."
    )
    runs = []
    for recipe in recipes:
        for norm in NORMS:
            with terminal.status(f"{norm}, {recipe.batches}") as update:
                run = train_and_export(norm, recipe, digits, models, passes=1 if quick else 3, update=update)
            terminal.line(
                f"{run.norm}, {run.batches}: {run.steps} steps in {run.training_seconds:.0f} s, "
                f"{100 * run.test_accuracy[-1]:.1f} % of the test images right"
            )
            runs.append(run)
    return runs


def _show(record: Record, out: Path, terminal: Terminal) -> None:
    from . import summary

    for table in (summary.accuracy(record), summary.exports(record), summary.times(record)):
        terminal.line()
        terminal.table(*table)
    terminal.line()
    terminal.line(
        f"{record.seconds:.0f} s. Models in {out / 'models'}, figures in {out / 'demo.json'}, "
        f"report in {out / 'report.html'}."
    )
