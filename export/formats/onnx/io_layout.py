"""Inputs and outputs of an .onnx file that are channels first where the model has channels last."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...model.spec import Spec
from ..protocol import Runner
from .external_data import properties

CHANNELS_FIRST = "keras_norms.channels_first"


class InKerasLayout:
    """A runner whose file has some inputs and outputs channels first, taken and given as the Keras model has them."""

    def __init__(self, runner: Runner, turned: list[str]) -> None:
        self._runner, self._turned = runner, set(turned)
        self.inputs = tuple(
            Spec(spec.name, _last(spec.shape), spec.dtype) if spec.name in self._turned else spec
            for spec in runner.inputs
        )
        self.outputs = runner.outputs
        self.at_once = getattr(runner, "at_once", False)

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self._runner.run({name: self._moved(name, x, -1, 1) for name, x in arrays.items()})
        return {name: self._moved(name, y, 1, -1) for name, y in found.items()}

    def _moved(self, name: str, array: np.ndarray, source: int, to: int) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(array, source, to)) if name in self._turned else array


def _last(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (shape[0], *shape[2:], shape[1])


def channels_first(path: Path) -> list[str]:
    """The inputs and outputs that are channels first in the file and channels last in its model."""
    found: list[str] = json.loads(properties(path).get(CHANNELS_FIRST, "[]"))
    return found


def in_file_layout(arrays: dict[str, np.ndarray], turned: list[str]) -> dict[str, np.ndarray]:
    """Inputs as the model has them, as a file takes them of which `channels_first` told `turned`."""
    return {n: np.ascontiguousarray(np.moveaxis(x, -1, 1)) if n in turned else x for n, x in arrays.items()}


def in_keras_layout(runner: Runner, turned: list[str]) -> Runner:
    """The runner of a file of which `channels_first` told `turned`."""
    return InKerasLayout(runner, turned) if turned else runner
