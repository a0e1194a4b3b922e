"""An artifact that a repository keeps, held to the model of today and to its certificate.

First hashes, which take no time: an artifact of another state of the model, or of other options, is outdated, whatever
it computes. Then numbers, by `verify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..artifact.hashes import artifact_sha256
from ..errors import ExportError, VerificationError
from ..report.verify_report import VerifyReport
from ..verification.certificate import Certificate, certificate_path
from ..verification.verify import verify
from .export_fresh import FreshExports, Made
from .outcomes import Outcomes, reason
from .outdated import why_outdated, why_outdated_by_metadata
from .tasks import ExportTask

# What another export would not change: a file that is not ours is never replaced, and options stay as they are.
_NOT_MENDED = ("damaged-certificate", "refused")


@dataclass(frozen=True)
class _Found:
    """What was found of a file: `kind` is None if nothing is wrong."""

    kind: str | None
    text: str
    verification: VerifyReport | None = None


def check_kept(fresh: FreshExports, task: ExportTask, told: Outcomes, *, update: bool) -> Made | None:
    """Judge the file; with `update` write it anew if it does not pass. None if there is no file to look at further."""
    path = Path(task["artifact"] or "")
    if not path.is_file():
        return _missing(fresh, task, path, told, update=update)
    told.say(f"{task['name']}: comparing {path.name} with the model")
    found = _judge(fresh, task, path)
    if found.kind is None:
        told.tell("artifact", "passed", found.text, export=task["name"], file=path)
    elif update and found.kind not in _NOT_MENDED:
        path.parent.mkdir(parents=True, exist_ok=True)
        return fresh.write(task, path, told, kept=True)
    else:
        told.tell("artifact", "failed", found.text, export=task["name"], kind=found.kind, file=path)
    return Made(path, found.verification)


def _missing(fresh: FreshExports, task: ExportTask, path: Path, told: Outcomes, *, update: bool) -> Made | None:
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        return fresh.write(task, path, told, kept=True)
    if task["try_missing"]:
        made = fresh.check(task, told)
        if made is None:
            return None
    text = f"there is no '{path.name}'. keras-norms check --update writes it."
    told.tell("artifact", "failed", text, export=task["name"], kind="missing-artifact", file=path)
    return None


def _judge(fresh: FreshExports, task: ExportTask, path: Path) -> _Found:
    again = "keras-norms check --update exports it again."
    try:
        certificate = Certificate.beside(path)
        if certificate is not None:
            certificate.check_entries()
    except ExportError as error:
        return _Found("damaged-certificate", reason(error))
    try:
        if certificate is not None and (why := why_outdated(certificate, fresh.model, task)):
            return _Found("outdated", f"{why}. {again}")
    except ExportError as error:  # of the calibration data or the labels, which do not fit the model
        return _Found("refused", reason(error))
    try:
        report = verify(fresh.model, path, inputs=task["inputs"] or task["calibration"], tolerance=task["tolerance"])
    except (ExportError, VerificationError) as error:
        changed = certificate is not None and not _is_certified(certificate, path)
        return _Found("changed-artifact" if changed else "not-reproduced", f"{reason(error)} {again}")
    if certificate is None and (why := why_outdated_by_metadata(report.metadata, fresh.model)):
        return _Found("outdated", f"{why}. {again}", report)
    if not report.ok:
        return _Found(*_failure(report, certificate, path), report)
    if certificate is None and task["certificate"]:
        text = f"there is no certificate '{certificate_path(path).name}'. {again} Or set certificate = false."
        return _Found("missing-certificate", text, report)
    return _Found(None, f"reproduces its model, {_certified(report)}", report)


def _failure(report: VerifyReport, certificate: Certificate | None, path: Path) -> tuple[str, str]:
    """What is wrong with the file, and the words for it: it was changed, or it computes something else."""
    numbers = "" if report.reproduces else report.failure()
    if certificate is not None and not _is_certified(certificate, path):
        said = f"it is not the file that was certified (its SHA-256 differs). {numbers}"
        return "changed-artifact", said.strip()
    return ("not-reproduced", numbers) if numbers else ("certificate-does-not-hold", report.failure())


def _is_certified(certificate: Certificate, path: Path) -> bool:
    return bool(certificate.entry("artifact").get("sha256") == artifact_sha256(path))


def _certified(report: VerifyReport) -> str:
    if report.certificate is None:
        return "no certificate"
    count = report.certificate.compared
    return f"certificate holds ({count} {'figure' if count == 1 else 'figures'})"
