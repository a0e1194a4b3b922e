"""A .tflite file in LiteRT's interpreter, on the CPU."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ...artifact.metadata_keys import TARGET
from ...errors import ExportError, reason_of
from ...model.spec import Spec
from ...worker.quiet import quiet_stderr
from ..protocol import Runner
from .chips import micro
from .flex_runner import FlexRunner, flex_ops
from .interpreter import Kernels, open_interpreter
from .metadata import read_metadata
from .read_file import read_file
from .run_preserving import is_scaled, narrowed, widened

_MOST_BYTES = 40_000


class TFLiteRunner:
    """A .tflite file in LiteRT's interpreter, with the kernels that `open_interpreter` names.

    With `fresh`, each run has an interpreter of its own, as the first run after the start of an app. In a used one
    XNNPACK may answer otherwise: behind shapes that are computed at run time it has read what an earlier run left.
    The first of these has as many threads as asked for, which some kernels are wrong in; later ones have one each, for
    they run beside each other.
    """

    at_once = True  # in several threads: LiteRT computes without Python's lock

    def __init__(
        self, path: str | os.PathLike[str], *, kernels: Kernels = "xnnpack", threads: int = 1, fresh: bool = False
    ) -> None:
        self._path, self._kernels, self._fresh = path, kernels, fresh
        self._lock, self._used = threading.Lock(), False
        try:
            self._opened = _Opened(path, kernels, threads)
        except (ValueError, RuntimeError) as error:
            reason = reason_of(error).rstrip(".")
            raise ExportError(f"'{path}' is no TFLite file that LiteRT can run: {reason}.") from error
        _check_static(path, self._opened.input_details)
        self.inputs = tuple(
            Spec(d["name"], tuple(None if n < 0 else int(n) for n in d["shape_signature"]), _dtype(d))
            for d in self._opened.input_details
        )
        self.outputs = tuple(self._opened.output_index)
        # The step between two numbers that an output of integers can give; 0 for one of floats.
        self.output_steps = self._opened.output_steps()

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            if not self._fresh:
                return self._opened.run(arrays)
            used, self._used = self._used, True
        opened = _Opened(self._path, self._kernels, 1) if used else self._opened
        return opened.run(arrays)


class _Opened:
    """One interpreter, with the shapes that it was last given."""

    def __init__(self, path: str | os.PathLike[str], kernels: Kernels, threads: int) -> None:
        self._interpreter = open_interpreter(path, kernels=kernels, threads=threads)
        with quiet_stderr():
            self._read_interface()

    def _read_interface(self) -> None:
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        keys = list(self._interpreter.get_signature_list())
        if keys:
            signature = self._interpreter.get_signature_runner(keys[0])
            inputs = _named(inputs, signature.get_input_details())
            outputs = _named(outputs, signature.get_output_details())
        self.input_details = inputs
        self._input_index = {detail["name"]: detail["index"] for detail in inputs}
        self.output_index = {detail["name"]: detail["index"] for detail in outputs}
        self._shapes = {detail["name"]: tuple(detail["shape"]) for detail in inputs}
        # An int8 interface stands for floats: they are what goes into `run` and comes out of it.
        self._details = {detail["index"]: detail for detail in (*inputs, *outputs)}
        self._allocated = False

    def output_steps(self) -> dict[str, float]:
        details = {name: self._details[index] for name, index in self.output_index.items()}
        return {name: float(d["quantization"][0]) if is_scaled(d) else 0.0 for name, d in details.items()}

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, array in arrays.items():
            if self._shapes[name] != array.shape:
                self._interpreter.resize_tensor_input(self._input_index[name], array.shape, strict=True)
                self._shapes[name] = array.shape
                self._allocated = False
        if not self._allocated:
            with quiet_stderr():
                self._interpreter.allocate_tensors()
            self._allocated = True
        for name, array in arrays.items():
            index = self._input_index[name]
            self._interpreter.set_tensor(index, narrowed(self._details[index], array))
        self._interpreter.invoke()
        results = self.output_index.items()
        return {name: widened(self._details[index], self._interpreter.get_tensor(index)) for name, index in results}


def _dtype(detail: dict[str, Any]) -> str:
    return "float32" if is_scaled(detail) else np.dtype(detail["dtype"]).name


def _named(details: list[dict[str, Any]], by_name: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The file's order with the signature's names; a tensor that has two names is listed under both."""
    order = [detail["index"] for detail in details]
    entries = [dict(detail, name=name) for name, detail in by_name.items()]
    return sorted(entries, key=lambda entry: order.index(entry["index"]) if entry["index"] in order else len(order))


def runners(path: Path) -> dict[str, Runner]:
    _check_readable(path)
    if flex_ops(path):
        return {"LiteRT and TensorFlow": FlexRunner(path)}
    found: dict[str, Runner] = {
        "LiteRT, XNNPACK": TFLiteRunner(path, threads=2, fresh=True),
        "LiteRT, builtin kernels": TFLiteRunner(path, kernels="builtin", threads=2, fresh=True),
    }
    target = read_metadata(path).get(TARGET) if micro.installed() else None
    if target == "micro" or (target == "npu" and micro.runs(path)):
        found["TFLite Micro"] = micro.MicroRunner(path, found["LiteRT, builtin kernels"])
    return found


def fastest(path: Path) -> Runner:
    """The runtime of apps, on one thread."""
    _check_readable(path)
    return FlexRunner(path) if flex_ops(path) else TFLiteRunner(path)


def advisers(path: Path) -> dict[str, Runner]:
    """LiteRT's reference kernels, for a small file: they are slow. Some operations, such as ELU, have none."""
    if path.stat().st_size > _MOST_BYTES or flex_ops(path):
        return {}
    try:
        return {"LiteRT's reference kernels": TFLiteRunner(path, kernels="reference")}
    except ExportError:  # not every operation has one
        return {}


def _check_static(path: str | os.PathLike[str], inputs: list[dict[str, Any]]) -> None:
    """An app allocates a file with the shapes that stand in it: they must be those that the file says it takes."""
    for detail in inputs:
        shape, taken = detail["shape"], detail["shape_signature"]
        if len(shape) != len(taken) or any(b >= 0 and a != b for a, b in zip(shape, taken, strict=True)):
            raise ExportError(
                f"'{path}' allocates its input '{detail['name']}' as {list(map(int, shape))}, and says that it takes "
                f"{list(map(int, taken))} (-1 is free): an app cannot run it as it is. Export the model again."
            )


def _check_readable(path: Path) -> None:
    """LiteRT trusts its input: some versions end the whole process on a truncated file."""
    try:
        if path.read_bytes()[4:8] != b"TFL3":
            raise ValueError("it does not begin as one")
        read_file(path)
    except Exception as error:  # whatever the damaged part made the reader stumble over
        raise ExportError(
            f"'{path}' is no TFLite file that LiteRT can run: {reason_of(error)}. Export the model again."
        ) from error
