"""The budgets of a file: its noise, its size, and its time on the machine that runs the check."""

from __future__ import annotations

from ..errors import ExportError, VerificationError
from .export_fresh import FreshExports, Made
from .latency import median_ms, median_ratio
from .outcomes import Outcomes, reason
from .tasks import ExportTask


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
        try:
            kind, text = judge(fresh, task, made)
        except (ExportError, VerificationError) as error:
            kind, text = "error", f"it could not be measured: {reason(error)}"
        status = "skipped" if kind == "skipped" else "failed" if kind else "passed"
        told.tell(check, status, text, export=task["name"], kind=None if status == "skipped" else kind, file=made.path)


_Verdict = tuple[str | None, str]  # what is wrong, if anything, and what was measured


def _noise(_fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    report, least = made.verification, task["min_db"] or 0.0
    if report is None:
        return "skipped", "the file was not compared with its model"
    if report.quantized is None:
        return None, "nothing in the file is quantized"
    name, worst = min(report.outputs.items(), key=lambda item: item[1].sqnr_db)
    if worst.sqnr_db < least:
        return "too-noisy", f"output '{name}' has {worst.sqnr_db:.1f} dB; at least {least:g} dB is asked"
    return None, f"{worst.sqnr_db:.1f} dB, at least {least:g} dB"


def _size(_fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    files = (made.path, made.path.with_name(f"{made.path.name}.data"))  # a large ONNX file has its weights beside it
    size, most = sum(file.stat().st_size for file in files if file.is_file()), task["max_size"] or 0
    if size > most:
        return "too-large", f"{size:,} bytes; at most {most:,} bytes are allowed"
    return None, f"{size:,} bytes, at most {most:,}"


def _latency(fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    took, most = median_ms(fresh.model, task, made.path), task["max_latency"] or 0.0
    if took > most:
        return "too-slow", f"{took:.3g} ms on this machine; at most {most:g} ms are allowed"
    return None, f"{took:.3g} ms on this machine, at most {most:g} ms"


def _ratio(fresh: FreshExports, task: ExportTask, made: Made) -> _Verdict:
    most = task["max_latency_ratio"] or 0.0
    ratio = median_ratio(fresh.model, task, made.path, fresh.in_float32(task))
    if ratio > most:
        return "too-slow", f"{ratio:.2f} times the float32 file's time; at most {most:g} times is allowed"
    return None, f"{ratio:.2f} times the float32 file's time, at most {most:g}"
