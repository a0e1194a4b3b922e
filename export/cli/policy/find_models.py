"""The model files that a policy names, and those of them that one run is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .policy import Policy
from .policy_error import PolicyError

_SUFFIXES = (".keras", ".h5")


def find_models(policy: Policy) -> list[Path]:
    """Every model of the policy, each once, in the order of its patterns.

    Raises:
        PolicyError: If a pattern stands for nothing.
    """
    excluded = {path for pattern in policy.exclude for path in policy.matched(pattern)}
    found: dict[Path, Path] = {}
    for pattern in policy.models:
        models = [path for path in sorted(policy.folder.glob(pattern)) if _may_be_model(path)]
        if not models:
            raise policy.error((), "models", f"has '{pattern}', which stands for no file. Check the path.")
        found |= {path.resolve(): path for path in models if path.resolve() not in (excluded | set(found))}
    return list(found.values())


def chosen_models(policy: Policy, all_models: Sequence[Path], given: Sequence[Path]) -> list[Path]:
    """The models of one run: all of the policy, or those that were given, a folder standing for the ones in it.

    Raises:
        PolicyError: If that leaves none.
    """
    if not given:
        if not all_models:
            raise policy.error((), None, 'names no models: add models = ["models/*.keras"], or give paths.')
        return list(all_models)
    found: dict[Path, Path] = {}
    for path in given:
        models = [path] if _may_be_model(path) else _inside(path, all_models, bool(policy.models))
        if not models:
            what = f"no model of '{policy.path}' lies in it" if path.is_dir() else "there is no such file"
            raise PolicyError(f"'{path}' cannot be checked: {what}. Check the path.")
        found |= {model.resolve(): model for model in models if model.resolve() not in found}
    return list(found.values())


def _inside(folder: Path, all_models: Sequence[Path], named: bool) -> list[Path]:
    """The policy's models in a folder; every model file in it where the policy names none."""
    if named:
        return [model for model in all_models if folder.resolve() in model.resolve().parents]
    return sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())


def _may_be_model(path: Path) -> bool:
    """A file, or a folder with a SavedModel."""
    return path.is_file() or (path / "saved_model.pb").is_file()
