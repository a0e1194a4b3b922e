"""Exports of one model as a policy asks for them, each verified before it counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import keras

from ..errors import ExportError, VerificationError
from ..options import ExportOptions, OnnxOptions, TFLiteOptions
from ..pipeline import export
from ..pipeline.request import Request
from ..quantization.budget import AUTO
from ..report.verify_report import VerifyReport
from ..verification.certificate import certificate_path
from .outcomes import Outcomes, reason
from .tasks import ExportTask


@dataclass(frozen=True)
class Made:
    """A file that was exported or verified. `verification` is None where that was not worth while."""

    path: Path
    verification: VerifyReport | None = None


class FreshExports:
    """Makes exports of `model`, those that nobody keeps in `folder`."""

    def __init__(self, model: keras.Model, folder: Path) -> None:
        self.model = model
        self._folder = folder
        self._floats: dict[tuple[str, ExportOptions], Path] = {}

    def check(self, task: ExportTask, told: Outcomes) -> Made | None:
        """Export to a file that nobody keeps; None if that is refused."""
        return self.write(task, self._place(task["name"], task["suffix"]), told)

    def write(self, task: ExportTask, path: Path, told: Outcomes, *, kept: bool = False) -> Made | None:
        """Export to `path`; None if that is refused.

        A file that is `kept` gets a certificate if the task asks for one, or if one lies there, which would be wrong.
        """
        certificate = kept and (task["certificate"] or certificate_path(path).is_file())
        try:
            request = Request.of(
                path,
                task["suffix"],
                options_of(task),
                calibration=task["calibration"],
                inputs=task["inputs"],
                labels=task["labels"],
                certificate=certificate,
                progress=lambda stage: told.say(f"{task['name']}: {stage}"),
            )
            report = export(self.model, request)
        except (ExportError, VerificationError) as error:
            kind = "refused" if isinstance(error, ExportError) else "not-reproduced"
            # Where a file would have been that nobody keeps says nothing.
            text = reason(error) if kept else reason(error).replace(str(path), path.name)
            told.tell("export", "refused", text, export=task["name"], kind=kind)
            return None
        found = f"{report.size_bytes:,} bytes, {_error(report.verification)}"
        if kept:
            told.tell("artifact", "updated", f"written: {found}", export=task["name"], file=path)
        else:
            told.tell("export", "passed", found, export=task["name"])
        return Made(path, report.verification)

    def in_float32(self, task: ExportTask) -> Path:
        """The float32 file that a quantized one, or one for a target, is timed against.

        Raises:
            ExportError, VerificationError: If there is none.
        """
        options = options_of(task)
        options = replace(options.in_mode(None), tolerance=None)
        if isinstance(options, TFLiteOptions):
            options = replace(options, target=None, io_dtype=None)
        key = (task["suffix"], options)
        if key not in self._floats:
            path = self._place(f"float {len(self._floats)}", task["suffix"])
            request = Request.of(
                path,
                task["suffix"],
                options,
                calibration=None,
                inputs=None,
                labels=None,
                certificate=False,
                progress=None,
            )
            export(self.model, request)
            self._floats[key] = path
        return self._floats[key]

    def _place(self, name: str, suffix: str) -> Path:
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        return folder / f"{name.replace('/', '-')}{suffix}"


def options_of(task: ExportTask) -> ExportOptions:
    """The options of the pipeline that a task asks for; its limits are the budget of `quantize = "auto"`."""
    auto = task["quantize"] == AUTO
    max_bytes, min_db = (task["max_size"], task["min_db"]) if auto else (None, None)
    if task["suffix"] == ".tflite":
        return TFLiteOptions(
            batch_size=task["batch_size"],
            fold=task["fold"],
            tolerance=task["tolerance"],
            quantize=task["quantize"],
            io_dtype=task["io_dtype"],
            target=task["target"],
            allow_flex=task["allow_flex"],
            max_bytes=max_bytes,
            min_db=min_db,
        )
    assert task["quantize"] != "int16x8", "refused when the policy is read: .onnx does not have it"
    return OnnxOptions(
        batch_size=task["batch_size"],
        fold=task["fold"],
        tolerance=task["tolerance"],
        quantize=task["quantize"],
        opset=task["opset"],
        norms=task["norms"],
        layout=task["layout"],
        max_bytes=max_bytes,
        min_db=min_db,
    )


def _error(report: VerifyReport) -> str:
    if report.quantized is None:
        return f"error {report.relative:.1e}"
    return f"{min((output.sqnr_db for output in report.outputs.values()), default=float('nan')):.1f} dB"
