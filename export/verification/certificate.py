"""The certificate of an artifact: from which model it was made, by which versions, and every error that was measured.

It is a JSON file beside the artifact, `model.tflite.json` for `model.tflite`. The same model, options and versions give
the same bytes: there is no time and no path in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..artifact.hashes import artifact_sha256, config_sha256, model_sha256, versions, weights_sha256
from ..errors import ExportError
from ..model.facts import ModelFacts
from ..quantization.modes import Mode
from ..report.certificate_report import CertificateReport
from ..report.check import Check
from ..report.export_report import ExportReport
from ..report.strict_json import strict_json
from ..report.verify_report import VerifyReport

SCHEMA = 1
_KIND = "keras-norms certificate"
_DIGITS = 4
# A figure counts as reproduced within this share of the limit: processors and versions round differently. So they do in
# quantized files, where a rounded number is a step of 8 bits: these may lose three decibels, half of their signal to
# noise ratio, and gain any. Above a ratio of 80 it is float32 that rounds; below one of 10, on inputs that the file was
# not made for, nothing but noise is compared.
_SHARE, _MOST_LOST_DB, _EXACT_DB, _NOISE_DB = 0.1, 3.0, 80.0, 10.0


def certificate_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def write_certificate(
    file: Path, artifact: Path, facts: ModelFacts, report: ExportReport, options: dict[str, Any]
) -> None:
    """Write the certificate of `report` to `file`; the artifact lies at `artifact` until it goes to `report.path`."""
    model, sig = facts.model, facts.declared
    data = {
        "kind": _KIND,
        "schema": SCHEMA,
        "artifact": {
            "file": report.path.name,
            "format": report.format,
            "size_bytes": report.size_bytes,
            "sha256": artifact_sha256(artifact),
            "ops": report.ops,
            "metadata": report.verification.metadata,
        },
        "model": {
            "name": model.name,
            "sha256": model_sha256(model),
            "weights_sha256": weights_sha256(model),
            "config_sha256": config_sha256(model),
            "inputs": [str(spec) for spec in sig.inputs],
            "outputs": list(sig.outputs),
            "parameters": model.count_params(),
            "loaded": report.loaded.without_path() if report.loaded else None,
        },
        "versions": versions(),
        "options": options,
        "fold": report.fold.to_dict() if report.fold else None,
        "warnings": list(report.warnings),
        "inputs": [asdict(tried) for tried in report.verification.inputs],
        "skipped": list(report.verification.skipped),
        "agreement": [asdict(apart) for apart in report.verification.agreement],
        "tolerance": report.verification.tolerance,
        "outputs": {name: _rounded(asdict(worst)) for name, worst in report.verification.outputs.items()},
        "checks": [_rounded(asdict(check)) for check in report.verification.checks],
    }
    file.write_text(strict_json(data) + "\n", encoding="utf-8")


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its floats rounded to four digits: more say nothing about an error."""
    return {k: float(f"{v:.{_DIGITS - 1}e}") if isinstance(v, float) else v for k, v in record.items()}


@dataclass(frozen=True)
class Certificate:
    """A certificate that was read from its file."""

    path: Path
    data: dict[str, Any]

    @classmethod
    def beside(cls, artifact: Path) -> Certificate | None:
        """Read the certificate beside `artifact`; None if there is none.

        Raises:
            ExportError: If a file of that name is no certificate, or one of a newer schema.
        """
        path = certificate_path(artifact)
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            known = data["kind"] == _KIND and {"artifact", "model", "checks", "inputs", "versions"} <= set(data)
            newer = known and data["schema"] > SCHEMA
        except (ValueError, KeyError, TypeError) as error:
            raise ExportError(
                f"'{path}' lies where the certificate of '{artifact.name}' would, and is none or damaged. "
                "Move it away, or export again with a certificate."
            ) from error
        if not known or newer:
            what = f"has the schema {data['schema']}, newer than {SCHEMA}" if newer else "is no certificate"
            raise ExportError(f"'{path}' {what}. Move it away, or use the keras-norms that wrote it.")
        if not (data["checks"] and data["inputs"]):
            lacks = "checks" if data["inputs"] else "inputs"
            raise ExportError(f"The certificate '{path}' says nothing: it has no {lacks}. Export again with one.")
        return cls(path, data)

    def check_entries(self) -> None:
        """Refuse a certificate without one of its tables.

        Raises:
            ExportError: If it lacks one.
        """
        for name in ("artifact", "model", "options", "versions"):
            self.entry(name)

    def entry(self, name: str) -> dict[str, Any]:
        """One of its tables.

        Raises:
            ExportError: If it lacks it, or has something else there.
        """
        found = self.data.get(name)
        if not isinstance(found, dict):
            raise ExportError(f"The certificate '{self.path}' is damaged: it lacks '{name}'. Export again with one.")
        return found

    def held(self, mode: Mode, artifact: Path) -> Mode:
        """The mode with the ratio asked of each output on random inputs: what it had on them less 3 dB, if less.

        Random numbers are clipped by ranges that were taken from data. Without these data they are all there is, and
        the file is the one that was certified on them. Below 0 dB there is more noise than signal: that is never asked.
        """
        try:
            if self.data["artifact"]["sha256"] != artifact_sha256(artifact):
                return mode
            told = [(old["output"], _decibels(old)) for old in self.data["checks"] if old["case"].startswith("random")]
        except (KeyError, TypeError, AttributeError):  # `recheck` says what is damaged
            return mode
        floors: dict[str, float] = {}
        for output, had in told:
            floors[output] = max(0.0, min(floors.get(output, mode.floor_db), had - _MOST_LOST_DB))
        return replace(mode, held=floors)

    def recheck(self, model: keras.Model, artifact: Path, report: VerifyReport) -> CertificateReport:
        """Compare the certificate with the artifact, the model and the figures measured now.

        Raises:
            ExportError: If the certificate lacks an entry or holds one of another kind.
        """
        try:
            return self._recheck(model, artifact, report)
        except (KeyError, TypeError, AttributeError) as error:
            raise ExportError(f"The certificate '{self.path}' is damaged: {error}. Export again with one.") from error

    def _recheck(self, model: keras.Model, artifact: Path, report: VerifyReport) -> CertificateReport:
        differences: list[str] = []
        notes: list[str] = []
        if self.data["artifact"]["sha256"] != artifact_sha256(artifact):
            differences.append(f"'{artifact.name}' is not the file that was certified (its SHA-256 differs)")
        certified = self.data["model"]
        if certified["weights_sha256"] != weights_sha256(model):
            differences.append("the model's weights are not those that were certified")
        elif certified["config_sha256"] != config_sha256(model):
            text = "the model's configuration is not the one that was certified"
            same = self.data["versions"].get("keras") == versions().get("keras")
            # Another Keras writes other configurations of the same model; the weights and the figures decide then.
            (differences if same else notes).append(text)
        compared, figures, unseen = self._figures(report)
        differences += figures
        if not compared:
            differences.append("none of its figures was measured again; give the inputs that it was made with")
        elif unseen:
            notes.append(f"not measured again: {', '.join(unseen)} (give the same inputs)")
        changed = [
            f"{name} {old} then, {versions().get(name, 'absent')} now"
            for name, old in self.data["versions"].items()
            if versions().get(name) != old
        ]
        if changed:
            notes.append(f"versions: {', '.join(changed)}")
        return CertificateReport(str(self.path), compared, tuple(differences), tuple(notes))

    def _figures(self, report: VerifyReport) -> tuple[int, list[str], list[str]]:
        """How many figures were compared, which of them differ, and which inputs were not tried this time."""
        inputs = {record["case"]: record["sha256"] for record in self.data["inputs"]}
        same = {tried.case for tried in report.inputs if inputs.get(tried.case) == tried.sha256}
        now = {(check.case, check.runtime, check.output): check for check in report.checks}
        compared, differ = 0, []
        for old in self.data["checks"]:
            check = now.get((old["case"], old["runtime"], old["output"]))
            if check is None or check.case not in same:
                continue
            compared += 1
            where = f"'{check.output}' on {check.case} input in {check.runtime}"
            if report.quantized is not None:
                lost = _lost(old, check)
                differ += [f"{where} {lost}"] if lost else []
            elif not _reproduced(old, check):
                differ.append(
                    f"{where} was off by {_figure(old['relative'])} of its scale, now by {_figure(check.relative)}"
                )
        more = [f"and {len(differ) - 3} figures more"] if len(differ) > 4 else []
        told = dict.fromkeys(old["case"] for old in self.data["checks"])
        unseen = [case for case in told if case not in same]
        return compared, [*differ[: 3 if more else 4], *more], unseen


def _reproduced(old: dict[str, Any], now: Check) -> bool:
    """Whether a float32 artifact is as far off as it was; of a constant nothing but rounding is left, any amount."""
    if old["ok"] != now.ok or now.judged_for == "finite":
        return bool(old["ok"] == now.ok)
    return old["relative"] is not None and bool(abs(old["relative"] - now.relative) <= _SHARE * now.allowed)


def _lost(old: dict[str, Any], now: Check) -> str | None:
    """How much worse a quantized artifact has become; None if it is as good as it was certified.

    Certificates of the first versions have no `judged_for`: what has a floor was judged for its numbers.
    """
    for_numbers = old.get("judged_for", "finite" if old["floor_db"] is None else "numbers") == "numbers"
    then = _decibels(old)
    if then >= (-np.inf if for_numbers else _NOISE_DB) and now.sqnr_db < min(then, _EXACT_DB) - _MOST_LOST_DB:
        return f"had {then:.1f} dB, now {now.sqnr_db:.1f}; at most {_MOST_LOST_DB:.0f} may be lost"
    return None if old["ok"] == now.ok else f"was {_mark(old['ok'])}, and is {_mark(now.ok)} now"


def _decibels(old: dict[str, Any]) -> float:
    """The certified signal to noise ratio: JSON has no infinity, neither for a perfect file nor for a useless one."""
    if old["sqnr_db"] is not None:
        return float(old["sqnr_db"])
    return -np.inf if old["relative"] is None else np.inf


def _mark(ok: bool) -> str:
    return "right" if ok else "wrong"


def _figure(value: float | None) -> str:
    return "infinity" if value is None else f"{value:.2e}"
