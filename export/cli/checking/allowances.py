"""Which refusals a policy allows, and which of its allowances nothing needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ..policy.plan_models import ModelPlan, applies
from ..policy.policy import Allowance, Policy
from ..policy.toml_lines import KeyPath
from .check_results import Check

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.check.tasks import Outcome


class Allowances:
    """The allowances of a policy, and which of them were used in this run."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used: set[KeyPath] = set()

    def reason(self, plan: ModelPlan, outcome: Outcome) -> tuple[str | None, str]:
        """Why a refusal is allowed, None if it is not; and what is to be said of those that nearly allow it."""
        if outcome["kind"] == "norm-stays":
            return self._norm(plan, outcome["layer"] or ""), ""
        near: list[str] = []
        for allowance in plan.allowances[outcome["export"] or ""]:
            if _covers(allowance, outcome["text"]):
                self._used.add(("allow", allowance.number))
                return allowance.reason, ""
            asked = f"'{allowance.refusal}'" if allowance.refusal else f"the layer '{allowance.layer}'"
            near.append(f" The policy allows a refusal here that names {asked}; this one does not.")
        return None, near[0] if near else ""

    def _norm(self, plan: ModelPlan, layer: str) -> str | None:
        for pattern, (reason, where) in plan.may_stay.items():
            if fnmatchcase(layer, pattern):
                self._used.add((*where, pattern))
                return reason
        return None

    def stale(self, all_plans: Sequence[ModelPlan], finished: Iterable[Path]) -> list[Check]:
        """A failure for each allowance that nothing needed, where all that it is for was checked."""
        done = set(finished)
        found = []
        for allowance in self._policy.allowances:
            where: KeyPath = ("allow", allowance.number)
            named = [plan for plan in all_plans if _names(self._policy, allowance, plan)]
            if where not in self._used and all(plan.path in done for plan in named):
                what = f"in the words '{allowance.refusal}'" if allowance.refusal else f"of '{allowance.layer}'"
                told = (
                    f"nothing is refused {what} any more" if named else "it is for no model and export of this policy"
                )
                found.append(self._check(where, None, f"{told}: remove this table [[allow]]."))
        for layer, where in _norms(all_plans):
            named = [plan for plan in all_plans if plan.may_stay.get(layer, ("", ()))[1] == where]
            if (*where, layer) not in self._used and all(plan.path in done for plan in named):
                found.append(self._check(where, layer, f"no norm '{layer}' stays any more: remove it from may-stay."))
        return found

    def _check(self, where: KeyPath, key: str | None, text: str) -> Check:
        path = str(self._policy.path)
        line = self._policy.line(where, key)
        return Check(path, "allowance", None, "failed", "stale-allowance", text, file=path, line=line)


def _covers(allowance: Allowance, text: str) -> bool:
    by_text = allowance.refusal is None or allowance.refusal.casefold() in text.casefold()
    return by_text and (allowance.layer is None or f"'{allowance.layer}'" in text)


def _names(policy: Policy, allowance: Allowance, plan: ModelPlan) -> bool:
    return any(applies(policy, allowance, plan.path, export["name"]) for export in plan.task["exports"])


def _norms(plans: Iterable[ModelPlan]) -> list[tuple[str, KeyPath]]:
    """Every pattern of a norm that may stay, each once, and where it stands."""
    return list(dict.fromkeys((layer, where) for plan in plans for layer, (_, where) in plan.may_stay.items()))
