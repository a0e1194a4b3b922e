"""What a policy asks of each model: its settings, the overrides that match, and the defaults, as a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .plan_export import plan_export
from .policy import Allowance, Policy, Settings
from .toml_lines import KeyPath

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.check.tasks import ModelTask

_TIMEOUT = 1800.0  # seconds


@dataclass(frozen=True)
class ModelPlan:
    """One model: the task of the checking process, and what its outcomes are held to.

    `may_stay` has the reason by the pattern of a norm's name, and where that stands; `places` is where the value of
    each key of each export stands.
    """

    path: Path
    task: ModelTask
    timeout: float
    may_stay: Mapping[str, tuple[str, KeyPath]]
    places: Mapping[tuple[str, str], KeyPath]
    allowances: Mapping[str, tuple[Allowance, ...]]


def plan_models(policy: Policy, models: Sequence[Path], *, update: bool) -> list[ModelPlan]:
    """A plan for each model.

    Raises:
        PolicyError: If the keys of an export do not go together, or if two exports keep the same file.
    """
    matched = {pattern: policy.matched(pattern) for pattern in policy.overrides}
    plans = []
    for model in models:
        also = [settings for pattern, settings in policy.overrides.items() if model.resolve() in matched[pattern]]
        plans.append(_plan(policy, model, [policy.settings, *also], update=update))
    _check_artifacts(policy, plans)
    return plans


def check_overrides(policy: Policy, models: Sequence[Path]) -> None:
    """Refuse an override for nothing: most often its name is misspelt.

    Raises:
        PolicyError: If an override matches none of the models.
    """
    known = {model.resolve() for model in models}
    for pattern, settings in policy.overrides.items():
        if not policy.matched(pattern) & known:
            raise policy.error(settings.where, None, "matches none of the models. Check the path.")


def _plan(policy: Policy, model: Path, settings: list[Settings], *, update: bool) -> ModelPlan:
    reading: dict[str, Any] = {}
    norms: dict[str, Any] = {}
    may_stay: dict[str, tuple[str, KeyPath]] = {}
    exports: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str, str], KeyPath] = {}
    for each in settings:
        reading |= each.reading
        norms |= each.norms
        where = (*each.where, "norms", "may-stay")
        may_stay |= {layer: (reason, where) for layer, reason in each.norms.get("may-stay", {}).items()}
        for name, values in each.exports.items():
            if "models" in values and not any(model.resolve() in policy.matched(glob) for glob in values["models"]):
                continue
            exports.setdefault(name, {}).update(values)
            places |= {(name, key): (*each.where, "exports", name) for key in values}
    if may_stay and "must-fold" not in norms:
        _, place = next(iter(may_stay.values()))
        raise policy.error(place[:-1], "may-stay", "goes with must-fold = true only.")
    may_stay = may_stay if norms.get("must-fold") else {}
    wanted = {name: values for name, values in exports.items() if not values.get("skip")}
    allowed = {
        name: tuple(allowance for allowance in policy.allowances if applies(policy, allowance, model, name))
        for name in wanted
    }
    task: ModelTask = {
        "path": str(model),
        "signature": reading.get("signature"),
        "user_file": reading.get("import"),
        "unsafe": reading.get("unsafe", False),
        "look_at_norms": norms.get("must-fold", False),
        "exports": [
            plan_export(policy, model, name, values, places, allowed=bool(allowed[name]))
            for name, values in wanted.items()
        ],
        "update": update,
    }
    return ModelPlan(model, task, reading.get("timeout", _TIMEOUT), may_stay, places, allowed)


def applies(policy: Policy, allowance: Allowance, model: Path, export: str) -> bool:
    """Whether an allowance is for this export of this model."""
    of_model = allowance.model is None or model.resolve() in policy.matched(allowance.model)
    return of_model and fnmatchcase(export, allowance.export)


def _check_artifacts(policy: Policy, plans: Sequence[ModelPlan]) -> None:
    """Refuse two exports that keep the same file."""
    kept: dict[Path, str] = {}
    for plan in plans:
        for export in plan.task["exports"]:
            if export["artifact"] is None:
                continue
            place, who = Path(export["artifact"]).resolve(), f"{export['name']} of {plan.path}"
            if place in kept:
                told = (
                    f"'{export['artifact']}' would be kept for {kept[place]} and for {who}. Use {{model}} in its name."
                )
                raise policy.error(plan.places[export["name"], "artifact"], "artifact", told)
            kept[place] = who
