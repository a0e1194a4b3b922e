"""One corrupted file: whether it moves an ordinary input by more than it may, and what `verify` says to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export import ExportError, VerificationError, verify
from keras_norms.export.artifact.hashes import artifact_sha256
from keras_norms.export.formats import format_of

from .base_models import FIXED_IN_TFLITE, base_model
from .corruption import Corruption
from .judge import Arrays, NotRunnableError, apart, file_outputs, keras_outputs, ordinary_inputs

TOLERANCE, LOST_DB = 1e-4, 3.0
ROWS, SEED = 8, 20_777
CALIBRATION = 64
MODES = ("float32", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class Trial:
    """What came of one corruption. `moved` is the share of its scale by which it moves an output, in a quantized file
    the decibels that it costs; `matters` says that this is more than allowed."""

    base: str
    suffix: str
    mode: str
    kind: str
    where: str
    moved: float
    matters: bool
    caught: bool
    how: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Base:
    """A sound file with its certificate, its model, and what both say to ordinary inputs."""

    name: str
    mode: str
    model: keras.Model
    path: Path
    content: bytes
    inputs: Arrays
    expected: dict[str, np.ndarray]
    ratios: dict[str, float]

    @classmethod
    def exported(cls, name: str, suffix: str, mode: str, folder: Path) -> Base:
        model, path = base_model(name), folder / f"{name.replace(' ', '_')}_{mode}{suffix}"
        data = ordinary_inputs(model, ROWS if mode == "float32" else CALIBRATION, SEED)
        options: dict[str, Any] = {}
        if mode != "float32":
            given = "calibration" if mode == "int8" else "inputs"
            options = {"quantize": mode, "certificate": True, given: data}
        if suffix == ".tflite" and name in FIXED_IN_TFLITE:
            options["batch_size"] = 1
        EXPORTS[suffix](model, path, **options)
        expected = keras_outputs(model, data)
        share, ratios = apart(expected, file_outputs(model, path, data))
        assert mode != "float32" or share < TOLERANCE / 2, f"{path.name} is off by {share:.1e} without any fault"
        return cls(name, mode, model, path, path.read_bytes(), data, expected, ratios)

    def tried(self, fault: Corruption, folder: Path) -> Trial:
        path = folder / f"corrupt{self.path.suffix}"
        path.write_bytes(fault.of(self.content))
        moved, matters = self._moved(path)
        caught, how = self._verdict(path)
        return Trial(self.name, path.suffix, self.mode, fault.kind, fault.where, moved, matters, caught, how[:200])

    def _moved(self, path: Path) -> tuple[float, bool]:
        try:
            share, ratios = apart(self.expected, file_outputs(self.model, path, self.inputs))
        except NotRunnableError:
            return np.inf, True
        if self.mode == "float32":
            return share, share > TOLERANCE
        lost = max(self.ratios[name] - ratios[name] if np.isfinite(ratios[name]) else 0.0 for name in ratios)
        lost = np.inf if min(ratios.values()) == -np.inf else lost
        return lost, lost > LOST_DB

    def _verdict(self, path: Path) -> tuple[bool, str]:
        """What `verify` says; the certificate of a quantized file is the sound one's with the hash of the other."""
        beside = path.with_name(f"{path.name}.json")
        beside.unlink(missing_ok=True)
        given: dict[str, Any] = {}
        if self.mode != "float32":
            data = json.loads(self.path.with_name(f"{self.path.name}.json").read_text())
            data["artifact"]["sha256"] = artifact_sha256(path)
            beside.write_text(json.dumps(data))
            given = {"inputs": self.inputs}
        try:
            report = verify(self.model, path, **given)
        except (ExportError, VerificationError) as error:
            return True, f"{type(error).__name__}: {error}"
        return not report.ok, report.failure()


@contextmanager
def verified_here() -> Iterator[None]:
    """Within the block `verify` runs files in this process and looks for no layer: the verdict is the same, sooner."""
    module = sys.modules["keras_norms.export.verification.verify"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "isolated_reader", format_of)
        patch.setattr(module, "divergence_inside", lambda *args: (None, None))
        yield
