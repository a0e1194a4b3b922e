"""The files that one budget is spent on: weights in mixed widths, and each fixed mode of the format, measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..artifact.metadata_keys import QUANTIZED
from ..budget.spend import Spending
from ..budget.trials import Trials
from ..errors import ExportError, VerificationError
from ..options import Tails
from ..quantization.budget import AUTO, Budget
from ..quantization.modes import MODES
from ..report.size_curve import SizePoint, WeightBits
from .make import Made, make
from .place import Place
from .prepare import Prepared, folded_for
from .request import Request


@dataclass(frozen=True)
class Candidate:
    """One file: what was measured, what it was made of, in which mode, and how to write it; a refused one has none."""

    point: SizePoint
    prepared: Prepared
    request: Request
    made: Made | None = None
    write: Callable[[Path], object] = lambda _: None
    weights: tuple[WeightBits, ...] = ()


def mixed(prepared: Prepared, trials: Trials, budget: Budget, request: Request, place: Place) -> list[Candidate]:
    """Files along the curve, the largest first: the one in float32, and those with weights in fewer bits."""
    form = request.format
    plain = replace(request, options=form.in_floats(request.options), mode=None)
    made = make(replace(prepared, batches=[]), plain, place)
    form.write_metadata(place.artifact, {**made.metadata, QUANTIZED: AUTO})
    weights = form.stored_weights(place.artifact, prepared.batches, prepared.facts.layer_names, request.say)
    spending = Spending(weights, trials, place.artifact, request.say)
    spending.look_for(budget, request.say)
    return [
        Candidate(
            tried.point,
            prepared,
            replace(request, mode=request.mode if tried.bits else None),
            made,
            partial(spending.write, tried),
            spending.described(tried.bits),
        )
        for tried in spending.tried
    ]


def fixed_modes(prepared: Prepared, trials: Trials, request: Request, place: Place) -> Iterator[Candidate]:
    """A file in every mode that the format has; `prepared` is the model as it is folded for "auto"."""
    ready: dict[Tails, Prepared] = {request.format.tails(request.options): prepared}
    for name in request.format.modes:
        if name == AUTO:
            continue
        request.say(f"trying {name}")
        wanted = replace(request, options=request.options.in_mode(name), mode=MODES[name])
        tails = request.format.tails(wanted.options)
        if tails not in ready:
            ready[tails] = folded_for(prepared, wanted)
        batches = prepared.batches if wanted.calibrates else []
        yield _in_mode(replace(ready[tails], batches=batches), trials, wanted, place.within(name))


def _in_mode(prepared: Prepared, trials: Trials, request: Request, place: Place) -> Candidate:
    mode = request.options.quantize or ""
    try:
        made = make(prepared, replace(request, say=lambda _: None), place)
        point = SizePoint(mode, place.artifact.stat().st_size, trials.db(place.artifact))
    except (ExportError, VerificationError) as error:  # no form in this mode, or a file that does not run
        return Candidate(SizePoint(mode, refused=str(error)), prepared, request)
    return Candidate(point, prepared, request, made, partial(shutil.copyfile, place.artifact))
