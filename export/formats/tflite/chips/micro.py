"""A .tflite file in TFLite Micro's interpreter, the one that microcontrollers link.

It says on standard error, not in its exceptions, why it refuses a file, and how much memory it takes: both are asked of
a process of its own, so that a file that ends the process ends only that one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ExportError
from ...protocol import Runner
from ..run_preserving import narrowed, widened

_ARENA_MB = 256  # more than a microcontroller has: whoever measures wants to know how much it would be
_ASK = (
    "import sys; from tflite_micro import runtime; "
    f"interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size={_ARENA_MB} << 20); "
    "interpreter.invoke(); interpreter.print_allocations()"
)
_SECONDS = 600  # a file from anywhere may loop for ever
_SPARE = 1 << 22  # bytes that planning takes besides
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")


def installed() -> bool:
    return find_spec("tflite_micro") is not None


class RefusedError(Exception):
    """TFLite Micro does not run the file; the message is its own."""


@lru_cache(maxsize=8)
def _asked(path: str, _changed: int) -> str:
    command = [sys.executable, "-c", _ASK, path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"it does not end within {_SECONDS} s") from error
    if done.returncode:
        said = [line.strip().rstrip(".") for line in done.stderr.split("Traceback")[0].splitlines() if line.strip()]
        raise RefusedError("; ".join(said) or f"its process ended with {done.returncode}")
    return done.stderr


def arena_bytes(path: Path) -> int:
    """The bytes of memory that the interpreter takes of the arena that it is given.

    Raises:
        RefusedError: If it does not run the file.
    """
    said = _asked(str(path), path.stat().st_mtime_ns)
    found = _ARENA.search(said)
    assert found is not None, said
    return int(found[1])


def runs(path: Path) -> bool:
    """Whether the interpreter takes a file."""
    try:
        arena_bytes(path)
    except RefusedError:
        return False
    return True


class MicroRunner:
    """`protocol.Runner` for a file of static shapes; floats go in and come out, as in `TFLiteRunner`.

    `like` is the file in LiteRT: its inputs and outputs stand in the order of the graph, which is TFLite Micro's too.
    """

    def __init__(self, path: Path, like: Runner) -> None:
        from tflite_micro import runtime

        try:
            arena = arena_bytes(path)
        except RefusedError as refused:
            raise ExportError(f"TFLite Micro does not run '{path}': {refused}.") from refused
        self.inputs, self.outputs = like.inputs, like.outputs
        self._interpreter = runtime.Interpreter.from_file(str(path), arena_size=arena + _SPARE)

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for place, spec in enumerate(self.inputs):
            detail = _detail(self._interpreter.get_input_details(place))
            self._interpreter.set_input(np.ascontiguousarray(narrowed(detail, arrays[spec.name])), place)
        self._interpreter.invoke()
        found = {}
        for place, name in enumerate(self.outputs):
            detail = _detail(self._interpreter.get_output_details(place))
            found[name] = widened(detail, np.array(self._interpreter.get_output(place)))
        return found


def _detail(given: dict[str, Any]) -> dict[str, Any]:
    """A tensor's type, scale and zero point, as LiteRT's interpreter tells them."""
    grid = given["quantization_parameters"]
    scaled = len(grid["scales"]) > 0
    return {
        "dtype": given["dtype"],
        "quantization": (grid["scales"][0], grid["zero_points"][0]) if scaled else (0.0, 0),
    }
