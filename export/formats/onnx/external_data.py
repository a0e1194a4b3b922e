"""What an .onnx file says of itself for `verify`: its weights beside it, and inputs and outputs in another layout."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx

from ...errors import ExportError, VerificationError
from ...model.signature import Spec
from ..protocol import Runner

DATA_HASH, CHANNELS_FIRST = "keras_norms.data_sha256", "keras_norms.channels_first"


def data_path(path: Path) -> Path:
    """Where the weights of a model over 2 GB lie."""
    return path.with_name(f"{path.name}.data")


def check_data(path: Path) -> None:
    """Refuse a file whose weights beside it are gone or are not those that it was verified with."""
    expected, data = properties(path).get(DATA_HASH), data_path(path)
    if expected is None:
        return
    if not data.is_file():
        raise ExportError(f"'{path}' keeps its weights in '{data.name}', which is not beside it. Move both together.")
    with data.open("rb") as file:
        found = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read())
    if found.hexdigest() != expected:
        raise VerificationError(
            f"'{data}' is not the file that '{path.name}' was verified with. Export the model again."
        )


def properties(path: Path) -> dict[str, str]:
    """The file's `metadata_props`; nothing for a file that cannot be read, which the runtime will say better."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf's own errors
        return {}
    return {prop.key: prop.value for prop in model.metadata_props}


class InKerasLayout:
    """A runner whose file has some inputs and outputs channels first, taken and given as the Keras model has them."""

    def __init__(self, runner: Runner, turned: list[str]) -> None:
        self._runner, self._turned = runner, set(turned)
        self.inputs = tuple(
            Spec(spec.name, _last(spec.shape), spec.dtype) if spec.name in self._turned else spec
            for spec in runner.inputs
        )
        self.outputs = runner.outputs

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        turn = lambda name, x, to: np.ascontiguousarray(np.moveaxis(x, *to)) if name in self._turned else x  # noqa: E731
        found = self._runner.run({name: turn(name, x, (-1, 1)) for name, x in arrays.items()})
        return {name: turn(name, y, (1, -1)) for name, y in found.items()}


def _last(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (shape[0], *shape[2:], shape[1])


def channels_first(path: Path) -> list[str]:
    """The inputs and outputs that are channels first in the file and channels last in its model."""
    found: list[str] = json.loads(properties(path).get(CHANNELS_FIRST, "[]"))
    return found


def in_keras_layout(runner: Runner, path: Path) -> Runner:
    turned = channels_first(path)
    return InKerasLayout(runner, turned) if turned else runner
