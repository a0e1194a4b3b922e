"""The figures of the demo. The terminal's tables, the page and demo.json are all made from these records."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from ..report.export_report import ExportReport
from ..report.fold_report import FoldReport
from .measure_inference import Measured
from .training import Recipe

_PACKAGES = ("keras-norms", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "scikit-learn")


@dataclass(frozen=True)
class Artifact:
    """One exported file: the report of its export, and its accuracy and time on the test images."""

    report: ExportReport
    measured: Measured


@dataclass(frozen=True)
class Run:
    """One trained model and its exported files.

    `norms` counts its norm layers, `batches` says what it was trained on, `artifacts` has the keys "tflite" and "onnx".
    """

    norm: str
    norms: int
    batch_size: int
    batches: str
    epochs: int
    steps: int
    training_seconds: float
    loss: list[float]
    test_accuracy: list[float]
    model_file: str
    keras: Measured
    artifacts: dict[str, Artifact]

    @property
    def fold(self) -> FoldReport:
        """The fold report, which is the same for both exports."""
        report = self.artifacts["tflite"].report.fold
        assert report is not None, "the demo's networks can be folded"
        return report

    def to_dict(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name not in ("keras", "artifacts")}
        return {
            **plain,
            "keras": asdict(self.keras),
            "artifacts": {
                name: {"report": artifact.report.to_dict(), **asdict(artifact.measured)}
                for name, artifact in self.artifacts.items()
            },
        }


@dataclass(frozen=True)
class Record:
    """All runs and the settings they share. `one_thread`: whether Keras had one; the runtimes always have one."""

    runs: list[Run]
    recipes: tuple[Recipe, ...]
    train_images: int
    test_images: int
    seed: int
    quick: bool
    one_thread: bool
    seconds: float

    @property
    def norms(self) -> list[str]:
        return list(dict.fromkeys(run.norm for run in self.runs))

    @property
    def batch_sizes(self) -> list[int]:
        return list(dict.fromkeys(run.batch_size for run in self.runs))

    def run(self, norm: str, batch_size: int) -> Run:
        return next(run for run in self.runs if (run.norm, run.batch_size) == (norm, batch_size))

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "runs": [run.to_dict() for run in self.runs],
            "recipes": [asdict(recipe) for recipe in self.recipes],
            "machine": machine(),
        }


def machine() -> dict[str, Any]:
    """The hardware and software that the times depend on."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
