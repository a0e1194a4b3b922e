"""From a model to a verified artifact: prepare, make, judge, and only then publish."""

from __future__ import annotations

import os
from dataclasses import replace

import keras

from ..quantization.budget import Budget
from ..report.export_report import ExportReport
from ..worker.client import start_child
from .judge import judge
from .make import make
from .place import Place
from .prepare import prepare
from .publish import publish
from .request import Request
from .within_budget import choose


def export(model: keras.Model | str | os.PathLike[str], request: Request) -> ExportReport:
    """Write the artifact that `request` asks for, or nothing.

    Raises:
        ExportError: If the model or an option is of no use, or if the format has no form for something in the model.
        VerificationError: If the artifact does not reproduce the model.
    """
    start_child(request.format.converter)  # it imports TensorFlow while the model is loaded and folded
    if request.budget is not None:
        return _within(request.budget, model, request)
    prepared = prepare(model, request)
    with Place.of(request) as place:
        made = make(prepared, request, place)
        verification = judge(prepared, made, request, place)
        return publish(prepared, made, verification, request, place)


def _within(budget: Budget, model: keras.Model | str | os.PathLike[str], request: Request) -> ExportReport:
    with Place.of(request) as place:
        chosen = choose(model, budget, request, place)
        verification = judge(chosen.prepared, chosen.made, chosen.request, place)
        report = publish(chosen.prepared, chosen.made, verification, chosen.request, place)
        return replace(report, budget=chosen.curve)
