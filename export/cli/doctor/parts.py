"""The packages that keras-norms works with: what each is for, and which extra brings it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version

PROJECT = "keras-norms"


@dataclass(frozen=True)
class Part:
    """A package by its name in the registry; `extra` is "" for what every installation has."""

    package: str
    extra: str
    purpose: str


PARTS = (
    Part("keras", "", "the layers"),
    Part("numpy", "", "the arithmetic of weights"),
    Part("tensorflow", "export", "the graph from which files are made"),
    Part("tf2onnx", "export", "makes .onnx files"),
    Part("onnx", "export", "checks .onnx files"),
    Part("onnx-ir", "export", "edits .onnx files"),
    Part("onnxruntime", "export", "runs .onnx files: they are verified in it"),
    Part("ai-edge-litert", "export", "runs .tflite files: they are verified in it"),
    Part("flatbuffers", "export", "writes what a .tflite file says about itself"),
    Part("click", "export", "this command"),
    Part("rich", "export", "the tables of this command"),
    *([Part("tomli", "export", "reads the policy of `check`")] if sys.version_info < (3, 11) else []),
    Part("scikit-learn", "demo", "the images of `demo`"),
    Part("matplotlib", "demo", "the plots of `demo` and of `--trace-plot`"),
    Part("tf_keras", "legacy", "proves what is made of files of Keras 2"),
    Part("tflite-micro", "micro", "verifies files for microcontrollers"),
    Part("ethos-u-vela", "npu", "says what an Ethos-U makes of a file"),
    Part("jax", "backends", "the layers on JAX"),
    Part("torch", "backends", "the layers on PyTorch, and norms taken over from it"),
)
# What `--version` tells: the packages that decide what a file looks like and what it computes.
RUNTIMES = ("keras", "numpy", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")


def installed(package: str) -> str | None:
    """The version of a package, read from its metadata: nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def oldest() -> dict[str, str]:
    """The oldest version of each package that is supported, as this installation states it."""
    found = {}
    for requirement in requires(PROJECT) or ():
        match = re.match(r"([\w.-]+)>=([\w.]+)", requirement)
        if match:
            found[match[1]] = match[2]
    return found


def pythons() -> str:
    """The versions of Python that are supported, as ">=3.10,<3.14"."""
    return ",".join(sorted(str(metadata(PROJECT)["Requires-Python"]).replace(" ", "").split(","), reverse=True))


def is_older(found: str, bound: str) -> bool:
    """Whether a version comes before another, by its numbers."""
    return _numbers(found) < _numbers(bound)


def python_fits(bounds: str, now: tuple[int, int]) -> bool:
    """Whether a Python is within bounds such as ">=3.10,<3.14"."""
    for bound in bounds.split(","):
        limit = _numbers(bound.lstrip("<>="))
        if (bound.startswith(">=") and now < limit) or (bound.startswith("<") and now >= limit):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version without its trailing zeros: 2.20 and 2.20.0 are the same."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
