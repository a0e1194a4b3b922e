"""What came of a run: a record for each check, and what each kind of failure means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["passed", "updated", "allowed", "skipped", "failed"]

# Each kind of failure: what is wrong, and what helps. SARIF has a rule for each.
KINDS: dict[str, tuple[str, str]] = {
    "unreadable-model": (
        "A model file cannot be read.",
        "Open it with `keras-norms inspect`, which says why. Classes of your own come with the key `import`.",
    ),
    "crashed": (
        "The process that checked a model has ended.",
        "Run `keras-norms export` on it alone. Most often memory has run out.",
    ),
    "timed-out": ("The checks of a model took longer than `timeout` allows.", "Raise `timeout`, or ask for less."),
    "error": ("A check itself has failed.", "Run `keras-norms check --traceback`, and report it if it is a defect."),
    "refused": (
        "A model has no file in a format that the policy asks for.",
        "Change the layer that is named, or allow the refusal in a table [[allow]].",
    ),
    "not-reproduced": (
        "A file does not compute what its model does.",
        "Export it again. The layer that is named is the first that differs.",
    ),
    "missing-artifact": ("A file that the policy keeps is not there.", "Run `keras-norms check --update`."),
    "missing-certificate": ("A kept file has no certificate.", "Run `keras-norms check --update`."),
    "damaged-certificate": (
        "What lies in the place of a certificate is none.",
        "Remove it, and run `keras-norms check --update`.",
    ),
    "certificate-does-not-hold": (
        "A kept file is less exact than it was certified to be.",
        "Look at the versions that the certificate names. `keras-norms check --update` certifies it anew.",
    ),
    "outdated": (
        "A kept file was made from another state of its model, or with other options.",
        "Run `keras-norms check --update`.",
    ),
    "changed-artifact": (
        "A kept file is not the one that was certified.",
        "Restore it, or run `keras-norms check --update`.",
    ),
    "too-noisy": (
        "A quantized file has a lower signal to noise ratio than the policy asks for.",
        "Give more calibration data or choose a wider mode. `keras-norms export --trace` shows which layer loses most.",
    ),
    "too-large": ("A file is larger than its budget.", "Quantize it, make the model smaller, or raise `max-size`."),
    "too-slow": (
        "A file takes longer than its budget on the machine that ran the check.",
        "Times are noisy: run it again before you raise `max-latency` or `max-latency-ratio`.",
    ),
    "norm-stays": (
        "A batch norm does not fold.",
        "Change the layers around it as the reason says, or name it in [norms.may-stay].",
    ),
    "stale-allowance": ("The policy allows a refusal that does not happen.", "Remove it from the policy."),
}


@dataclass(frozen=True)
class Check:
    """One check. `text` is what was measured, or the reason of a failure; `line` is that of the policy."""

    model: str
    check: str
    export: str | None
    status: Status
    kind: str | None
    text: str
    layer: str | None = None
    file: str | None = None
    line: int | None = None
    seconds: float = 0.0
    allowed_because: str | None = None

    @property
    def name(self) -> str:
        """The check as reports call it: "phone: size", "norms: bn_3"."""
        return f"{self.export or self.check}: {self.check if self.export else self.layer}" if self.sub else self.check

    @property
    def sub(self) -> str | None:
        """What comes behind the colon of the name, if anything."""
        return self.check if self.export else self.layer


@dataclass(frozen=True)
class Run:
    """All checks of a run, in the order of the models."""

    policy: Path
    models: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> Sequence[Check]:
        return [check for check in self.checks if check.status == "failed"]

    def counts(self) -> dict[str, int]:
        """How many checks there are of each status."""
        return dict(Counter(check.status for check in self.checks))

    def by_model(self) -> dict[str, list[Check]]:
        """The checks of each model; those of the policy itself stand under its own path."""
        found: dict[str, list[Check]] = {model: [] for model in self.models}
        for check in self.checks:
            found.setdefault(check.model, []).append(check)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        models = [
            {
                "path": model,
                "ok": all(check.status != "failed" for check in checks),
                "checks": [{key: value for key, value in asdict(c).items() if key != "model"} for c in checks],
            }
            for model, checks in self.by_model().items()
        ]
        return {"policy": str(self.policy), "ok": self.ok, "counts": self.counts(), "models": models}


def sentence(text: str) -> str:
    """The text with a capital letter, unless it begins with a name in quotes or a number."""
    return text[:1].upper() + text[1:]
