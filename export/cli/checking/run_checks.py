"""Every model of a run through the checking process, one after the other; a model that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
    stage: Callable[[str], object],
    log: IO[Any] | None = None,
) -> Run:
    """Check the models of `plans`; `all_plans` are those of the whole policy, which say what an allowance is for."""
    allowances, process = Allowances(policy), CheckingProcess(log)
    checks: list[Check] = []
    finished: list[Path] = []
    try:
        for plan in plans:
            model = _ModelRun(policy, plan, allowances, stage)
            if model.check(process, log):
                finished.append(plan.path)
            checks += model.checks
    finally:
        process.stop()
    checks += allowances.stale(all_plans, finished)
    return Run(policy.path, tuple(str(plan.path) for plan in plans), tuple(checks))


class _ModelRun:
    """The checks of one model as they come."""

    def __init__(self, policy: Policy, plan: ModelPlan, allowances: Allowances, stage: Callable[[str], object]) -> None:
        self._policy, self._plan, self._allowances, self._show = policy, plan, allowances, stage
        self._stage = "reading"
        self.checks: list[Check] = []

    def check(self, process: CheckingProcess, log: IO[Any] | None) -> bool:
        """Whether every check came to an end."""
        self._say(self._stage)
        try:
            process.check(self._plan.task, self._plan.timeout, self._say, self._take)
        except ProcessEndedError as ended:
            self._add("read" if not self.checks else "checks", ended.kind, f"{ended}, while {self._stage}")
            return False
        except JobFailedError as failed:
            if log is not None:
                print(visible(failed.traceback, keep="\n"), file=log)
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
