"""A .tflite file in LiteRT's interpreter, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

from ...errors import ExportError, reason_of
from ...model.spec import Spec
from ...worker.quiet import quiet_stderr
from ..protocol import Runner
from .flex_runner import FlexRunner, flex_ops
from .interpreter import open_interpreter
from .run_preserving import is_scaled, narrowed, widened


class TFLiteRunner:
    """A .tflite file in LiteRT's interpreter, with or without the XNNPACK delegate."""

    def __init__(self, path: str | os.PathLike[str], *, xnnpack: bool = True, threads: int = 1) -> None:
        try:
            self._interpreter = open_interpreter(path, delegates=xnnpack, threads=threads)
            with quiet_stderr():
                self._read_interface()
        except (ValueError, RuntimeError) as error:
            reason = reason_of(error).rstrip(".")
            raise ExportError(f"'{path}' is no TFLite file that LiteRT can run: {reason}.") from error

    def _read_interface(self) -> None:
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        keys = list(self._interpreter.get_signature_list())
        if keys:
            signature = self._interpreter.get_signature_runner(keys[0])
            inputs = _named(inputs, signature.get_input_details())
            outputs = _named(outputs, signature.get_output_details())
        self._input_index = {detail["name"]: detail["index"] for detail in inputs}
        self._output_index = {detail["name"]: detail["index"] for detail in outputs}
        self._shapes = {detail["name"]: tuple(detail["shape"]) for detail in inputs}
        # An int8 interface stands for floats: they are what goes into `run` and comes out of it.
        self._details = {detail["index"]: detail for detail in (*inputs, *outputs)}
        self.inputs = tuple(
            Spec(d["name"], tuple(None if n < 0 else int(n) for n in d["shape_signature"]), _dtype(d)) for d in inputs
        )
        self.outputs = tuple(self._output_index)
        self._allocated = False

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
        results = self._output_index.items()
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
    return {
        "LiteRT, XNNPACK": TFLiteRunner(path, threads=2),
        "LiteRT, reference kernels": TFLiteRunner(path, xnnpack=False, threads=2),
    }


def _check_readable(path: Path) -> None:
    """LiteRT trusts its input: some versions end the whole process on a truncated file."""
    try:
        if path.read_bytes()[4:8] != b"TFL3":
            raise ValueError("it does not begin as one")
        flatbuffer_utils.read_model(os.fspath(path))
    except Exception as error:  # whatever the damaged part made the reader stumble over
        raise ExportError(
            f"'{path}' is no TFLite file that LiteRT can run: {reason_of(error)}. Export the model again."
        ) from error
