"""The job of the checking process: read one model, then make every check that its task asks for.

A check that fails, whatever it raises, leaves the others as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from ..errors import ExportError, FoldError
from ..folding.fold import fold
from ..loading.load_model import load_model
from ..loading.user_file import custom_objects
from ..worker.client import start_child
from .budgets import check_budgets
from .export_fresh import FreshExports
from .kept_artifact import check_kept
from .outcomes import Outcomes, reason
from .tasks import ExportTask, ModelTask


def check_model(task: ModelTask, progress: Callable[[Any], object]) -> None:
    """Make every check of `task`, and tell `progress` each outcome, and the stages between."""
    told, path = Outcomes(progress), Path(task["path"])
    told.say("reading")
    if any(_converts(export, update=task["update"]) for export in task["exports"]):
        start_child("formats.tflite.convert.saved_model_to_tflite")  # it imports TensorFlow meanwhile
    try:
        own = custom_objects(None if task["user_file"] is None else Path(task["user_file"]))
        model = load_model(path, task["signature"], own, task["unsafe"])
    except Exception as error:
        told.tell("read", "failed", reason(error), kind="unreadable-model", file=path)
        return
    told.tell("read", "passed", f"{model.count_params():,} parameters", file=path)
    if task["look_at_norms"]:
        told.say("folding")
        _check_norms(model, path, told)
    with tempfile.TemporaryDirectory(prefix="keras-norms-") as folder:
        fresh = FreshExports(model, Path(folder))
        for export in task["exports"]:
            _check_export(fresh, export, told, update=task["update"])


def _converts(task: ExportTask, *, update: bool) -> bool:
    """Whether something is surely converted; a kept file may only be looked at."""
    if task["artifact"] is None:
        return True
    return (update or task["try_missing"]) and not Path(task["artifact"]).is_file()


def _check_norms(model: keras.Model, path: Path, told: Outcomes) -> None:
    """Each batch norm that stays is an outcome of its own, for a policy may allow it."""
    try:
        report = fold(model).report
    except (FoldError, ExportError) as error:
        told.tell("norms", "failed", f"nothing folds: {reason(error)}", kind="norm-stays", file=path)
        return
    total = len(report.folded) + len(report.kept)
    for kept in report.kept:
        told.tell("norms", "refused", kept.reason, kind="norm-stays", layer=kept.norm, file=path)
    if len(report.folded) or not total:
        told.tell("norms", "passed", f"{len(report.folded)} of {total} batch norms fold", file=path)


def _check_export(fresh: FreshExports, task: ExportTask, told: Outcomes, *, update: bool) -> None:
    try:
        made = check_kept(fresh, task, told, update=update) if task["artifact"] else fresh.check(task, told)
        check_budgets(fresh, task, made, told)
    except Exception as error:  # of a library, or a defect of ours: it must not end the others
        told.tell("export", "failed", reason(error), export=task["name"], kind="error")
