"""From a model to a verified artifact: prepare, make, judge, and only then publish."""

from __future__ import annotations

import os

import keras

from ..report.export_report import ExportReport
from ..worker.client import start_child
from .judge import judge
from .make import make
from .place import Place
from .prepare import prepare
from .publish import publish
from .request import Request


def export(model: keras.Model | str | os.PathLike[str], request: Request) -> ExportReport:
    """Write the artifact that `request` asks for, or nothing.

    Raises:
        ExportError: If the model or an option is of no use, or if the format has no form for something in the model.
        VerificationError: If the artifact does not reproduce the model.
    """
    start_child(request.format.converter)  # it imports TensorFlow while the model is loaded and folded
    prepared = prepare(model, request)
    with Place.of(request) as place:
        made = make(prepared, request, place)
        verification = judge(prepared, made, request, place)
        return publish(prepared, made, verification, request, place)
