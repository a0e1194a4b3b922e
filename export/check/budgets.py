"""The budgets of a file: its noise, its size, and its time on the machine that runs the check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ExportError, VerificationError
from .export_fresh import FreshExports, Made
from .latency import median_ms, median_ratio
from .outcomes import Outcomes, reason
from .tasks import ExportTask, Status


def check_budgets(fresh: FreshExports, task: ExportTask, made: Made | None, told: Outcomes) -> None:
    """Hold `made` to what the policy allows; what cannot be looked at is skipped by name."""
    for check, limit, judge in (
        ("noise", task["min_db"], _noise),
        ("size", task["max_size"], _size),
        ("latency", task["max_latency"], _latency),
        ("latency ratio", task["max_latency_ratio"], _ratio),
    ):
        if limit is None:
            continue
        if made is None:
            told.tell(check, "skipped", "there is no file", export=task["name"])
            continue
        told.say(f"{task['name']}: {check}")
        found = _judged(judge, fresh, task, made)
        told.tell(check, found.status, found.text, export=task["name"], kind=found.kind, file=made.path)


@dataclass(frozen=True)
class _Verdict:
    """What was measured, and what is wrong with it, if anything."""

    status: Status
    text: str
    kind: str | None = None


_Judge = Callable[[FreshExports, ExportTask, Made], _Verdict]


def _judged(judge: _Judge, fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    try:
        return judge(fresh, task, made)
    except (ExportError, VerificationError) as error:
        return _Verdict("failed", f"it could not be measured: {reason(error)}", "error")


def _noise(_fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    report, least = made.verification, task["min_db"] or 0.0
    if report is None:
        return _Verdict("skipped", "the file was not compared with its model")
    if report.quantized is None:
        return _Verdict("passed", "nothing in the file is quantized")
    name, worst = min(report.outputs.items(), key=lambda item: item[1].sqnr_db)
    if worst.sqnr_db < least:
        return _Verdict(
            "failed", f"output '{name}' has {worst.sqnr_db:.1f} dB; at least {least:g} dB is asked", "too-noisy"
        )
    return _Verdict("passed", f"{worst.sqnr_db:.1f} dB, at least {least:g} dB")


def _size(_fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    files = (made.path, made.path.with_name(f"{made.path.name}.data"))  # a large ONNX file has its weights beside it
    size, most = sum(file.stat().st_size for file in files if file.is_file()), task["max_size"] or 0
    if size > most:
        return _Verdict("failed", f"{size:,} bytes; at most {most:,} bytes are allowed", "too-large")
    return _Verdict("passed", f"{size:,} bytes, at most {most:,}")


def _latency(fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    took, most = median_ms(fresh.model, task, made.path), task["max_latency"] or 0.0
    if took > most:
        return _Verdict("failed", f"{took:.3g} ms on this machine; at most {most:g} ms are allowed", "too-slow")
    return _Verdict("passed", f"{took:.3g} ms on this machine, at most {most:g} ms")


def _ratio(fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    most = task["max_latency_ratio"] or 0.0
    ratio = median_ratio(fresh.model, task, made.path, fresh.in_float32(task))
    if ratio > most:
        return _Verdict(
            "failed", f"{ratio:.2f} times the float32 file's time; at most {most:g} times is allowed", "too-slow"
        )
    return _Verdict("passed", f"{ratio:.2f} times the float32 file's time, at most {most:g}")
