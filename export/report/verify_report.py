"""What verification measured: an artifact beside its model, output by output, input by input."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .agreement_report import Apart
from .certificate_report import CertificateReport
from .check import Check, OutputReport
from .inside import MOVES, Inside, Reach
from .layer_trace import LayerTrace
from .strict_json import strict_json
from .text_table import Block, table, text


@dataclass(frozen=True)
class Tried:
    """One set of inputs that was tried. To draw it again: NumPy's `default_rng(seed)`, input after input."""

    case: str
    formula: str
    seed: int | None
    shapes: dict[str, list[int]]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Loss:
    """The layer of a quantized file that adds most noise: the signal to noise ratios of its input and its output."""

    layer: str
    before_db: float
    after_db: float


_STILL = (
    "output '{name}' does not move: it differs by {share:.0e} of its scale between all inputs tried, so its own "
    "numbers compare nothing"
)
_GIVE = "Give inputs= that the model was made for, or tolerance= to say how far off is near enough."


@dataclass(frozen=True)
class VerifyReport:
    """The result of `verify`. `.ok`, `.outputs[name].max_abs`, `.relative`, `.sqnr_db`; every run is in `.checks`.

    `.reproduces` is about the numbers alone; `.ok` also needs the certificate, where one lies beside the file, to hold.
    `undecided` are the outputs that no random or given input tells anything about, `agreement` says how many integers
    the runtimes of a file of integers give otherwise, and by how many steps, `unstable_layer` is the first
    layer in which rounding alone makes another result, and `trace` has every layer's error, if that was asked for.
    """

    path: str
    tolerance: float
    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    first_divergence: str | None = None
    largest_loss: Loss | None = None
    quantized: str | None = None
    inputs: tuple[Tried, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    certificate: CertificateReport | None = None
    advice: tuple[str, ...] = ()
    movement: dict[str, float] = field(default_factory=dict)
    inside: Inside | None = None
    reach: Reach | None = None
    undecided: tuple[str, ...] = ()
    agreement: tuple[Apart, ...] = ()
    unstable_layer: str | None = None
    trace: LayerTrace | None = None
    outputs: dict[str, OutputReport] = field(init=False)
    reproduces: bool = field(init=False)
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        names = dict.fromkeys(check.output for check in self.checks)
        outputs = {name: OutputReport.of([check for check in self.checks if check.output == name]) for name in names}
        object.__setattr__(self, "outputs", outputs)
        certified = self.certificate is None or self.certificate.ok
        seen = self.inside is None or not (self.inside.problems or self.inside.unseen)
        right = bool(outputs) and all(output.ok for output in outputs.values())
        reproduces = right and not self.undecided and seen
        object.__setattr__(self, "reproduces", reproduces)
        object.__setattr__(self, "ok", reproduces and certified)

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of the inputs that were tried."""
        return tuple(dict.fromkeys(check.case for check in self.checks))

    @property
    def max_abs(self) -> float:
        return max((output.max_abs for output in self.outputs.values()), default=float("nan"))

    @property
    def relative(self) -> float:
        return max((output.relative for output in self.outputs.values()), default=float("nan"))

    def failure(self) -> str:
        """A sentence on the worst check that failed: output, error, tolerance, and the first layer that differs."""
        if self.ok:
            return ""
        if not self.checks:
            return self._inconclusive()
        if self.reproduces:
            return self.certificate.failure() if self.certificate else ""
        failed = [check for check in self.checks if not check.ok]
        if not failed:
            return self._inconclusive() if self.undecided else self._inside_failure()
        worst = max(failed, key=lambda check: check.relative)
        if worst.floor_db is not None and worst.problem is None:
            return (
                f"Output '{worst.output}' has a signal to quantization noise ratio of {worst.sqnr_db:.1f} dB on "
                f"{worst.case} input in {worst.runtime}; at least {worst.floor_db:.0f} dB is asked."
                f"{self._where()} Verify and calibrate on more of the real data, or choose a wider mode."
            )
        where = " Which layer diverges could not be found out."
        where = f" The first layer that diverges is '{self.first_divergence}'." if self.first_divergence else where
        if worst.problem:
            return f"Output '{worst.output}' {worst.problem} on {worst.case} input in {worst.runtime}.{where}"
        return (
            f"Output '{worst.output}' differs from the model by {worst.relative:.2e} of its scale on "
            f"{worst.case} input in {worst.runtime}; {worst.allowed:.0e} is allowed.{where}"
        )

    def _inconclusive(self) -> str:
        of = "" if set(self.outputs) <= set(self.undecided) else f" for output '{self.undecided[0]}'"
        at = f" Rounding alone changes what '{self.unstable_layer}' gives." if self.unstable_layer else ""
        skipped = "; ".join(self.skipped)
        return f"Verification was inconclusive: every random or given input was skipped{of} ({skipped}).{at} {_GIVE}"

    def _inside_failure(self) -> str:
        if self.inside is None:
            return ""
        if self.inside.problems:
            return f"The outputs hardly show it, but inside of the file {'; '.join(self.inside.problems)}."
        return f"Verification was inconclusive: {self.inside.unseen}. {_GIVE}"

    def _where(self) -> str:
        """The layer where a quantized file falls below the required ratio, and the layer that loses most."""
        first, loss = self.first_divergence, self.largest_loss
        if first is None:
            return ""
        lost = f"from {loss.before_db:.0f} to {loss.after_db:.0f} dB" if loss else ""
        if loss is None or loss.layer == first:
            return f" The first layer below that is '{first}'{f' ({lost})' if lost else ''}."
        return f" The first layer below that is '{first}'; '{loss.layer}' loses most ({lost})."

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "ok": self.ok,
            "tolerance": self.tolerance,
            "quantized": self.quantized,
            "outputs": {name: asdict(output) for name, output in self.outputs.items()},
            "checks": [asdict(check) for check in self.checks],
            "skipped": list(self.skipped),
            "first_divergence": self.first_divergence,
            "largest_loss": asdict(self.largest_loss) if self.largest_loss else None,
            "inputs": [asdict(tried) for tried in self.inputs],
            "metadata": self.metadata,
            "certificate": asdict(self.certificate) if self.certificate else None,
            "advice": list(self.advice),
            "movement": dict(self.movement),
            "inside": asdict(self.inside) if self.inside else None,
            "reach": asdict(self.reach) if self.reach else None,
            "undecided": list(self.undecided),
            "agreement": [asdict(apart) for apart in self.agreement],
            "unstable_layer": self.unstable_layer,
            "trace": self.trace.to_dict() if self.trace else None,
        }

    def to_json(self) -> str:
        return strict_json(self.to_dict())

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table that a person reads: the worst runtime for each output and input."""
        worst: dict[tuple[str, str], Check] = {}
        for check in self.checks:
            key = (check.output, check.case)
            if key not in worst or (check.ok, -check.relative) < (worst[key].ok, -worst[key].relative):
                worst[key] = check
        header = ["output", "input", "max |error|", "of scale", "SQNR dB", "allowed", ""]
        return header, [
            [
                c.output,
                c.case,
                f"{c.max_abs:.2e}",
                f"{c.relative:.2e}",
                f"{c.sqnr_db:.1f}",
                c.limit,
                _mark(c),
            ]
            for c in worst.values()
        ]

    def __str__(self) -> str:
        trace = [] if self.trace is None else ["", Block(self.trace)]
        return text([f"{self.path} {self.verdict()}", table(*self.rows()), *self.notes(), *trace])

    def notes(self) -> list[str]:
        """What there is to say beside the table, a line each."""
        notes = [f"not judged: {note}" for note in self.skipped]
        widened = {(check.output, check.case): check for check in self.checks if check.why}
        notes += [f"{output}, {case}: {c.allowed:.1e} is allowed: {c.why}" for (output, case), c in widened.items()]
        still = {name: share for name, share in self.movement.items() if share < MOVES}
        notes += [_STILL.format(name=name, share=share) for name, share in still.items()]
        if self.movement and not still:
            least = min(self.movement, key=lambda name: self.movement[name])
            notes.append(f"between the inputs output '{least}' moves by {self.movement[least]:.0e} of its scale")
        notes += [str(part) for part in (self.inside, self.reach) if part is not None and str(part)]
        return [*notes, *map(str, self.agreement), *self.advice]

    def verdict(self) -> str:
        """The result in a few words, followed by the reason where the file does not pass."""
        good = "reproduces its model" + (", and its certificate holds" if self.certificate else "")
        if self.ok:
            return good
        if self.reproduces:
            return f"is not what was certified. {self.failure()}"
        return f"does NOT reproduce its model. {self.failure()}"


def _mark(check: Check) -> str:
    return "ok" if check.ok else "FAILS"
