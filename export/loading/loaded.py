"""How a model was loaded, for the reports and certificates of what is made from it later."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import keras

from ..report.load_report import LoadReport

_REPORTS: WeakKeyDictionary[keras.Model, LoadReport] = WeakKeyDictionary()


def remember(model: keras.Model, report: LoadReport) -> None:
    """Keep the report for as long as the model lives."""
    _REPORTS[model] = report


def load_report(model: keras.Model) -> LoadReport | None:
    """The report of a model that `load` made; None for one that was built in Python."""
    return _REPORTS.get(model)
