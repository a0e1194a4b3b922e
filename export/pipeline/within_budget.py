"""`quantize="auto"`: of all files that were made and measured, the best one that keeps to the budget."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import keras

from ..budget.trials import Trials
from ..errors import ExportError
from ..quantization.budget import Budget
from ..report.layer_trace import decibels
from ..report.size_curve import SizeCurve, SizePoint
from .candidates import Candidate, fixed_modes, mixed
from .make import Made
from .place import Place
from .prepare import Prepared, prepare
from .request import Request


@dataclass(frozen=True)
class Chosen:
    """What lies at its place now: made of what, in which mode, and all that it was chosen from."""

    prepared: Prepared
    made: Made
    request: Request
    curve: SizeCurve


def choose(model: keras.Model | str | os.PathLike[str], budget: Budget, request: Request, place: Place) -> Chosen:
    """Write the best file within the budget to `place.artifact`.

    Raises:
        ExportError: If no file keeps to the budget; the message says what comes nearest.
    """
    prepared = prepare(model, request)
    rows = prepared.calibration or []
    trials = Trials.of(request.format, prepared.facts, rows)
    along = mixed(prepared, trials, budget, request, place.within("float32"))
    modes = list(fixed_modes(prepared, trials, request, place))
    for candidate in _by_preference(budget, [*along, *modes]):
        assert candidate.made is not None
        candidate.write(place.artifact)
        if budget.min_db is None or trials.least_db_of_all(place.artifact, rows) >= budget.min_db:
            break
    else:
        raise ExportError(none_fits(budget, [*along, *modes], request))
    data = f"{max(len(x) for x in rows if x.ndim)} rows of calibration data"
    tried, fixed = (tuple(each.point for each in candidates) for candidates in (along, modes))
    curve = SizeCurve(str(budget), data, candidate.point, tried, fixed, candidate.weights)
    made = replace(candidate.made, runners=request.format.runners(place.artifact))
    return Chosen(candidate.prepared, made, candidate.request, curve)


def _by_preference(budget: Budget, candidates: list[Candidate]) -> list[Candidate]:
    """Those that keep to the budget by what was measured, the best one first."""
    made = [each for each in candidates if each.made is not None]
    fitting = [each for each in made if budget.allows(each.point.size_bytes, each.point.sqnr_db)]
    return sorted(fitting, key=lambda each: budget.prefers(each.point.size_bytes, each.point.sqnr_db))


def none_fits(budget: Budget, candidates: list[Candidate], request: Request) -> str:
    """What is said where no file keeps to the budget."""
    points = [each.point for each in candidates if each.made is not None]
    smallest, finest = min(points, key=lambda p: p.size_bytes), max(points, key=lambda p: p.sqnr_db)
    near = [f"the smallest file has {_figures(smallest)}", f"the most exact one {_figures(finest)}"]
    exact = [point for point in points if budget.min_db is not None and point.sqnr_db >= budget.min_db]
    if budget.max_bytes is not None and exact:
        near[1] = f"the smallest of at least {budget.min_db:g} dB {_figures(min(exact, key=lambda p: p.size_bytes))}"
    return f"No {request.format.name} file keeps to the budget, {budget}: {', '.join(near)}. Give it more room."


def _figures(point: SizePoint) -> str:
    return f"{point.size_bytes:,} bytes at {decibels(point.sqnr_db)} dB"
