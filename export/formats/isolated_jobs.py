"""What the guarded process does with a file: open it, run it, read it. Imports no Keras; see `isolated.py`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..worker.frames import Named
from . import format_of
from .protocol import Runner

_LEAST_RUNS = 3
_opened: dict[str, dict[str, Runner]] = {}
_timed: dict[str, Runner] = {}


def open_file(_arrays: Named, path: str) -> tuple[list[dict[str, Any]], Named]:
    """Open the file anew in every runtime; what its inputs and outputs are in each."""
    _opened[path] = format_of(Path(path)).runners(Path(path))
    return [
        {"runtime": name, "inputs": [asdict(spec) for spec in runner.inputs], "outputs": list(runner.outputs)}
        for name, runner in _opened[path].items()
    ], []


def run(arrays: Named, path: str, runtime: str) -> tuple[None, Named]:
    """Run the file, which is opened first where the process is a new one."""
    if path not in _opened:
        open_file([], path)
    return None, list(_opened[path][runtime].run(dict(arrays)).items())


def forget(_arrays: Named, path: str) -> tuple[None, Named]:
    """Close the file; the next run opens it anew."""
    _opened.pop(path, None)
    return None, []


def run_times(arrays: Named, path: str, seconds: float) -> tuple[list[float], Named]:
    """Milliseconds of each run, for as long as `seconds`; the first run, which prepares, is not among them."""
    if path not in _timed:
        _timed[path] = format_of(Path(path)).fastest(Path(path))
    feed, runner = dict(arrays), _timed[path]
    runner.run(feed)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        runner.run(feed)
        times.append(1e3 * (time.perf_counter() - start))
    return times, []


def tensors(arrays: Named, path: str) -> tuple[None, Named]:
    """The values inside the file."""
    return None, format_of(Path(path)).tensors(Path(path), dict(arrays))


def delegate_findings(arrays: Named, path: str, layers: list[str] | None, draw: bool) -> tuple[list[Any], Named]:
    """What `lint` finds in a .tflite file."""
    from .tflite.delegates.delegate_findings import delegate_findings as find

    findings, errors, taken = find(Path(path), None if draw else dict(arrays), layers)
    return [[asdict(found) for found in findings], errors, None if taken is None else asdict(taken)], []


def quantized_as(_arrays: Named, path: str) -> tuple[str | None, Named]:
    """The mode that the file is quantized in."""
    return format_of(Path(path)).quantized_as(Path(path)), []


def operation_names(_arrays: Named, path: str) -> tuple[dict[str, str], Named]:
    """The name of the operation that makes each result."""
    return format_of(Path(path)).operation_names(Path(path)), []


def read_metadata(_arrays: Named, path: str) -> tuple[dict[str, str], Named]:
    """The strings that the file keeps."""
    return format_of(Path(path)).read_metadata(Path(path)), []
