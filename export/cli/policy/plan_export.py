"""One export of one model as a policy asks for it: keys that go together, and the defaults of the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import arguments
from .keys import EXPORT, SUFFIXES
from .policy import Policy
from .toml_lines import KeyPath

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.check.tasks import ExportTask


def plan_export(
    policy: Policy,
    model: Path,
    name: str,
    values: Mapping[str, Any],
    places: Mapping[tuple[str, str], KeyPath],
    *,
    allowed: bool,
) -> ExportTask:
    """The task of one export; `allowed` if a refusal of it may be.

    Raises:
        PolicyError: If its keys do not go together.
    """
    _check_together(policy, name, values, places)
    artifact = values.get("artifact")
    labels = values.get("labels")
    return {
        "name": name,
        "suffix": SUFFIXES[values["format"]],  # type: ignore[typeddict-item]  # one of the two
        "quantize": values.get("quantize"),
        "calibration": values.get("calibration"),
        "inputs": values.get("inputs"),
        "labels": None if labels is None else arguments.lines(Path(labels)),
        "batch_size": values.get("batch-size"),
        "fold": values.get("fold", True),
        "tolerance": values.get("tolerance"),
        "io_dtype": values.get("io-dtype"),
        "target": values.get("target"),
        "allow_flex": values.get("allow-flex", False),
        "opset": values.get("opset"),
        "norms": values.get("norms", "fast"),
        "layout": values.get("layout", "keras"),
        "artifact": None if artifact is None else str(_artifact(policy, model, artifact)),
        "certificate": values.get("certificate", True),
        "try_missing": allowed,
        "min_db": values.get("min-db"),
        "max_size": values.get("max-size"),
        "max_latency": values.get("max-latency"),
        "max_latency_ratio": values.get("max-latency-ratio"),
    }


def _artifact(policy: Policy, model: Path, pattern: str) -> Path:
    """The kept file of a model: `{model}` is its name, `{folder}` its folder as seen from the policy."""
    folder = model.resolve().parent
    seen = folder.relative_to(policy.folder.resolve()) if policy.folder.resolve() in (folder, *folder.parents) else ""
    return policy.folder / pattern.replace("{model}", model.stem).replace("{folder}", str(seen))


def _check_together(
    policy: Policy, name: str, values: Mapping[str, Any], places: Mapping[tuple[str, str], KeyPath]
) -> None:
    """Refuse keys of an export that do not go together."""

    def wrong(key: str, problem: str) -> Exception:
        return policy.error(places.get((name, key), ("exports", name)), key if (name, key) in places else None, problem)

    if "format" not in values:
        raise wrong("format", f"needs format, one of {', '.join(SUFFIXES)}.")
    suffix, quantize = SUFFIXES[values["format"]], values.get("quantize")
    for key in values:
        if EXPORT[key].suffix not in (None, suffix):
            raise wrong(key, f"is for {EXPORT[key].suffix} files; this export has the format {values['format']}.")
    problem = _problem_of_mode(values, suffix)
    if problem is not None:
        raise wrong(*problem)
    if "max-latency-ratio" in values and quantize is None and "target" not in values:
        raise wrong("max-latency-ratio", "is to the float32 file: it goes with quantize or target only.")
    if "certificate" in values and "artifact" not in values:
        raise wrong("certificate", "goes with artifact only.")
    if "artifact" in values and Path(values["artifact"]).suffix != suffix:
        raise wrong("artifact", f"must end in {suffix}, as the format {values['format']} does; got another suffix.")


def _problem_of_mode(values: Mapping[str, Any], suffix: str) -> tuple[str, str] | None:
    """The key that does not go with `quantize`, or that it lacks, and why."""
    quantize = values.get("quantize")
    if quantize is None:
        wrong = next((key for key in ("calibration", "min-db") if key in values), None)
        return None if wrong is None else (wrong, "goes with quantize only.")
    if quantize not in arguments.QUANTIZE[suffix]:
        modes = ", ".join(arguments.QUANTIZE[suffix])
        return "quantize", f"{quantize} does not exist for the format {values['format']}; it has {modes}."
    if quantize in arguments.NEED_CALIBRATION and "calibration" not in values:
        return "quantize", f"{quantize} needs calibration, an .npz file with typical inputs."
    if quantize == "auto" and not {"max-size", "min-db"} & set(values):
        return "quantize", "auto needs max-size, min-db or both, which are its budget."
    return None
