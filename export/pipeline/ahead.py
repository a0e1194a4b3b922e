"""What the model says to the inputs that its artifact will be tried on, found out while a child process converts.

It does not depend on the artifact, and this process would do nothing else. What is known by the end of the conversion
is kept in `ModelFacts.calls`, where verification looks before it runs the model; nothing else depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import keras

from ..model.precision import in_float32
from ..model.repeated_calls import RepeatedCalls
from ..model.test_inputs import INFINITE, probes
from ..verification.reference import reference
from .prepare import Prepared
from .request import Request

_MOST_WEIGHTS = 100_000_000  # of more, two processes at work may not fit into memory


@contextmanager
def answers(prepared: Prepared, request: Request) -> Iterator[None]:
    """The model runs on its probes while the block does."""
    facts = prepared.facts
    if keras.backend.backend() != "tensorflow" or facts.model.count_params() > _MOST_WEIGHTS:
        yield
        return
    enough = Event()
    thread = Thread(target=_answer, args=(prepared, request, enough), name="keras-norms-answers")
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _answer(prepared: Prepared, request: Request, enough: Event) -> None:
    facts = prepared.facts
    if not isinstance(facts.calls, RepeatedCalls):
        return
    keeping = replace(facts, calls=facts.calls.keep)
    try:
        with in_float32(facts.model):
            given = prepared.given[0][1] if prepared.given else None
            for probe in probes(facts.model, facts.signature, given):
                if enough.is_set():
                    break
                if request.mode is None or probe.name != INFINITE:
                    reference(keeping, probe)
    except Exception:  # whatever it was, verification meets it again, and tells
        return
