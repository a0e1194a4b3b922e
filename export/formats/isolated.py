"""A file of unknown origin, read and run in a process of its own, with limits of time and memory.

`format_of(path)` reads and runs a file in this process: fast, and right for a file that this package has just made.
`isolated_reader(path)` does the same for one that came from elsewhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError, VerificationError, kind_and_reason
from ..model.spec import Spec
from ..report.delegate_report import Finding, XnnpackReport
from ..worker.frames import Named
from ..worker.guarded import GuardedProcess, JobError, ProcessLostError
from ..worker.limits import GIGABYTES, Limits
from . import check_suffix
from .protocol import Runner

_JOBS = "formats.isolated_jobs"
_LARGEST_NUMBER, _SHARE_OF_INPUTS = 8, 0.125  # bytes; of the memory that the file may use
# Errors of this package, which a job raises with a text that is complete.
_OURS = {"ExportError": ExportError, "VerificationError": VerificationError}


class IsolatedRunner:
    """One runtime of a file, in the guarded process."""

    def __init__(self, process: GuardedProcess, path: Path, opened: dict[str, Any]) -> None:
        self._process, self._path, self._runtime = process, path, opened["runtime"]
        self.inputs = tuple(Spec(s["name"], tuple(s["shape"]), s["dtype"]) for s in opened["inputs"])
        self.outputs = tuple(opened["outputs"])

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        arguments = {"path": _whole(self._path), "runtime": self._runtime}
        try:
            _, found = self._process.call("run", arguments, list(arrays.items()))
        except JobError as error:
            self._process.stop()  # whoever keeps the error keeps this object, and need not keep a process
            raise _OURS.get(error.kind, RuntimeError)(str(error)) from error
        except ProcessLostError as lost:
            raise VerificationError(f"it {lost}") from lost  # whoever runs the artifact names it and the runtime
        return dict(found)

    def renew(self) -> None:
        """Open the file anew before the next run: what an earlier run left in an interpreter is gone."""
        with suppress(ProcessLostError):  # the next run starts another
            self._process.call("forget", {"path": _whole(self._path)})


class IsolatedReader:
    """`protocol.ArtifactReader` for files that a guarded process reads; it ends with this object at the latest."""

    def __init__(self, process: GuardedProcess) -> None:
        self._process = process

    def runners(self, path: Path) -> dict[str, Runner]:
        opened, _ = self._ask("open_file", path)
        found = {each["runtime"]: IsolatedRunner(self._process, path, each) for each in opened}
        for runner in found.values():
            self._check_size(path, runner)
        return {**found}

    def _check_size(self, path: Path, runner: Runner) -> None:
        """Inputs are made in this process, so they must not take its memory: a file may ask for any batch."""
        sizes = [math.prod(max(size or 1, 0) for size in spec.shape) * _LARGEST_NUMBER for spec in runner.inputs]
        if sum(sizes) > _SHARE_OF_INPUTS * self._process.limits.bytes:
            raise ExportError(
                f"'{path}' takes {sum(sizes) / 1e9:.1f} GB of inputs, too much to try it. Fix a smaller batch, or set "
                f"{GIGABYTES} to more than {self._process.limits.bytes / 1e9:.1f}."
            )

    def quantized_as(self, path: Path) -> str | None:
        mode, _ = self._ask("quantized_as", path)
        return None if mode is None else str(mode)

    def tensors(self, path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        _, found = self._ask("tensors", path, list(arrays.items()))
        return found

    def operation_names(self, path: Path) -> dict[str, str]:
        found, _ = self._ask("operation_names", path)
        return {str(tensor): str(name) for tensor, name in found.items()}

    def run_times(self, path: Path, feed: dict[str, np.ndarray], seconds: float) -> list[float]:
        """Milliseconds of each run on one input, one after the other for as long as `seconds`, and three at least."""
        found, _ = self._ask("run_times", path, list(feed.items()), seconds=seconds)
        return [float(each) for each in found]

    def read_metadata(self, path: Path) -> dict[str, str]:
        found, _ = self._ask("read_metadata", path)
        return {str(key): str(value) for key, value in found.items()}

    def delegate_findings(
        self, path: Path, arrays: dict[str, np.ndarray] | None, layers: Collection[str] | None
    ) -> tuple[list[Finding], dict[str, float], XnnpackReport | None]:
        """What `lint` finds in a .tflite file, on random inputs if `arrays` is None.

        The findings, the error of each output in half precision, and what XNNPACK takes.
        """
        known, given = None if layers is None else sorted(layers), list((arrays or {}).items())
        answer, _ = self._ask("delegate_findings", path, given, layers=known, draw=arrays is None)
        findings, errors, taken = answer
        return [Finding(**found) for found in findings], errors, None if taken is None else _xnnpack(taken)

    def _ask(
        self, job: str, path: Path, arrays: Sequence[tuple[str, np.ndarray]] = (), **arguments: Any
    ) -> tuple[Any, Named]:
        """What a job answers.

        Raises:
            ExportError: If the file is damaged, or if reading it takes more than it may.
            VerificationError: If the data beside the file are not those that it was verified with.
        """
        try:
            found: tuple[Any, Named] = self._process.call(job, {"path": _whole(path), **arguments}, arrays)
        except JobError as error:
            self._process.stop()
            if error.kind in _OURS:
                raise _OURS[error.kind](str(error)) from error
            reason = kind_and_reason(error, error.kind).rstrip(".")
            raise ExportError(f"'{path}' cannot be read or run: {reason}. Is it damaged?") from error
        except ProcessLostError as lost:
            when = ". It was being opened." if job == "open_file" else "."
            raise ExportError(f"'{path}' {lost}{when}") from lost
        return found


def _xnnpack(found: dict[str, Any]) -> XnnpackReport:
    """JSON has lists only; the report has tuples."""
    return XnnpackReport(**{**found, "left_layers": tuple((op, layer) for op, layer in found["left_layers"])})


def isolated_reader(path: Path) -> IsolatedReader:
    """What reads and runs the file at `path` in a process of its own.

    Raises:
        ExportError: If the suffix names no format, if the path is not UTF-8, which is all that the runtimes take, or if
            an environment variable for the limits is no number.
    """
    check_suffix(path)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ExportError(f"The path of an artifact must be UTF-8; got {path!a}. Rename it.") from error
    files = (path, path.with_name(f"{path.name}.data"))  # an ONNX file of more than 2 GB has its weights beside it
    size = sum(file.stat().st_size for file in files if file.is_file())
    process = GuardedProcess(_JOBS, Limits.for_file(size))
    if path.is_file():
        process.start()
    return IsolatedReader(process)


def _whole(path: Path) -> str:
    """The path from the root: the process may work elsewhere by then."""
    return os.path.abspath(path)  # noqa: PTH100  (Path.absolute keeps "..")
