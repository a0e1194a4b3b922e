"""Every model of a run through the checking process, one after the other; a model that fails stops no other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ..policy.plan_models import ModelPlan
from ..policy.policy import Policy
from ..visible import visible
from .allowances import Allowances
from .check_results import Check, Run, Status, sentence
from .process import CheckingProcess, JobFailedError, ProcessEndedError

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.check.tasks import Outcome

# The key of the policy that asks for a check.
_KEYS = {
    "artifact": "artifact",
    "noise": "min-db",
    "size": "max-size",
    "latency": "max-latency",
    "latency ratio": "max-latency-ratio",
}


def run_checks(
    policy: Policy,
    plans: Sequence[ModelPlan],
    all_plans: Sequence[ModelPlan],
    *,
    status: Callable[[str], AbstractContextManager[Callable[[str], object]]],
    show: Callable[[str, Sequence[Check]], object],
    verbose: bool = False,
) -> Run:
    """Check the models of `plans`, and `show` what came of each as soon as it is known.

    `all_plans` are those of the whole policy, which say what an allowance is for. `status` shows what is being done,
    and gives a function that replaces its text; with `verbose` the libraries are heard, and the tracebacks of defects.
    """
    allowances, process = Allowances(policy), CheckingProcess(verbose=verbose)
    checks: list[Check] = []
    finished: list[Path] = []
    try:
        for plan in plans:
            with status(f"{plan.path}: starting") as stage:
                model = _ModelRun(policy, plan, allowances, stage)
                if model.check(process, verbose=verbose):
                    finished.append(plan.path)
            checks += model.checks
            show(str(plan.path), model.checks)
    finally:
        process.stop()
    if stale := allowances.stale(all_plans, finished):
        checks += stale
        show(str(policy.path), stale)
    return Run(policy.path, tuple(str(plan.path) for plan in plans), tuple(checks))


class _ModelRun:
    """The checks of one model as they come."""

    def __init__(self, policy: Policy, plan: ModelPlan, allowances: Allowances, stage: Callable[[str], object]) -> None:
        self._policy, self._plan, self._allowances, self._show = policy, plan, allowances, stage
        self._stage = "reading"
        self.checks: list[Check] = []

    def check(self, process: CheckingProcess, *, verbose: bool) -> bool:
        """Whether every check came to an end."""
        self._say(self._stage)
        try:
            process.check(self._plan.task, self._plan.timeout, self._say, self._take)
        except ProcessEndedError as ended:
            self._add("read" if not self.checks else "checks", ended.kind, f"{ended}, while {self._stage}")
            return False
        except JobFailedError as failed:
            if verbose:
                print(visible(failed.traceback, keep="\n"), file=sys.stderr)
            self._add("checks", "error", str(failed))
            return False
        return all(check.kind != "unreadable-model" for check in self.checks)

    def _say(self, stage: str) -> None:
        self._stage = stage
        self._show(f"{self._plan.path}: {stage}")

    def _take(self, outcome: Outcome) -> None:
        status: Status = "failed" if outcome["status"] == "refused" else outcome["status"]
        because, also = None, ""
        if outcome["status"] == "refused":
            because, also = self._allowances.reason(self._plan, outcome)
            status = "failed" if because is None else "allowed"
        self.checks.append(
            Check(
                model=str(self._plan.path),
                check=outcome["check"],
                export=outcome["export"],
                status=status,
                kind=outcome["kind"],
                text=visible(outcome["text"] + also),
                layer=outcome["layer"],
                file=outcome["file"] or str(self._plan.path),
                line=self._line(outcome),
                seconds=outcome["seconds"],
                allowed_because=because,
            )
        )

    def _add(self, check: str, kind: str, text: str) -> None:
        path = str(self._plan.path)
        self.checks.append(Check(path, check, None, "failed", kind, sentence(text), file=path))

    def _line(self, outcome: Outcome) -> int | None:
        """The line of the policy that asks for the check; of a model that is merely read, none."""
        name, key = outcome["export"], _KEYS.get(outcome["check"], "format")
        if name is not None:
            where = self._plan.places.get((name, key), ("exports", name))
            return self._policy.line(where, key if key != "format" else None)
        return self._policy.line(("norms",), "must-fold") if outcome["check"] == "norms" else None
