"""What one call of `to_tflite` or `to_onnx` asks for, checked before any work is done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifact.atomic_write import check_writable
from ..artifact.metadata import Labels
from ..errors import ExportError
from ..formats import format_of
from ..formats.protocol import Format
from ..options import ExportOptions
from ..progress import Progress, silent
from ..quantization.budget import Budget
from ..quantization.modes import Mode, check_mode
from ..verification.certificate import Certificate, certificate_path
from ..verification.tolerance import Tolerance


@dataclass(frozen=True)
class Request:
    """The output file, its format, the options, and what accompanies them. `mode` is None for float32.

    `trace` asks for every layer's error.
    """

    path: Path
    format: Format[Any]
    options: ExportOptions
    mode: Mode | None
    calibration: Any
    inputs: Any
    labels: Labels | None
    certificate: bool
    say: Progress
    trace: bool = False
    budget: Budget | None = None

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        suffix: str,
        options: ExportOptions,
        *,
        calibration: Any,
        inputs: Any,
        labels: Labels | None,
        certificate: bool,
        progress: Progress | None,
    ) -> Request:
        """Check the path and the options against the format that `suffix` names.

        Raises:
            ExportError: If one of them is of no use; the message says which and what to do.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise ExportError(f"path must be a string or a pathlib.Path; got {type(path).__name__}.")
        path = Path(path)
        if path.suffix != suffix:
            raise ExportError(f"The output must end in {suffix}; got '{path.name}'. Rename the output.")
        form = format_of(path)
        budget = Budget.of(options.quantize, options.max_bytes, options.min_db)
        mode = check_mode(options.quantize, calibration, form.modes, form.name)
        form.check(options, calibrated=calibration is not None)
        Tolerance.of(options.tolerance)
        check_writable(path)
        if certificate:
            check_writable(certificate_path(path))
            Certificate.beside(path)  # refuses to write over what is none
        about = (calibration, inputs, labels, certificate, progress or silent)
        return cls(path, form, options, mode, *about, budget=budget)

    @property
    def calibrates(self) -> bool:
        """Whether the calibration data serve this mode."""
        return self.mode is not None and self.mode.name in self.format.calibrated and self.calibration is not None
