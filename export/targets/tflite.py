"""TFLite (LiteRT): TensorFlow's converter, builtin operations only, run by ai-edge-litert."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ..child import ConversionError, run_job
from ..errors import ExportError
from ..quiet import quiet_stderr
from ..signature import Signature, Spec

NAME = "TFLite"
OPTIONS: tuple[str, ...] = ()


def check(options: dict[str, Any]) -> None:
    """Every combination of the options is possible."""


def convert(saved_model: Path, path: Path, sig: Signature, options: dict[str, Any]) -> None:
    """Write the TFLite form of a traced model to `path`.

    Raises:
        ExportError: an operation that the TFLite runtime does not have built in; the message names it and its layer.
    """
    names = {"inputs": [spec.name for spec in sig.inputs], "outputs": list(sig.outputs)}
    try:
        run_job("targets.tflite:convert_saved_model", saved_model=saved_model, path=path, names=names)
    except ConversionError as failure:
        raise ExportError(_explain(failure)) from failure


def convert_saved_model(saved_model: str, path: str, names: dict[str, list[str]]) -> None:
    """The job in the child process."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    Path(path).write_bytes(_with_names(converter.convert(), names))


def _with_names(flatbuffer: bytes, names: dict[str, list[str]]) -> bytes:
    """Give inputs and outputs the model's names and order: the converter sorts outputs and decorates names."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    graph, entry = model.subgraphs[0], model.signatureDefs[0]
    for kind in ("inputs", "outputs"):
        by_position = sorted(getattr(entry, kind), key=lambda entry: int(entry.name.decode().rpartition("_")[2]))
        for tensor_map, name in zip(by_position, names[kind], strict=True):
            tensor_map.name = name.encode()
            graph.tensors[tensor_map.tensorIndex].name = name.encode()
        setattr(entry, kind, by_position)
        setattr(graph, kind, np.array([tensor_map.tensorIndex for tensor_map in by_position], np.int32))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _explain(failure: ConversionError) -> str:
    flex = re.findall(r"(?:TF Select|Flex|Custom) ops?: ([\w, ]+)", f"{failure}\n{failure.printed}")
    if flex:
        names = sorted({name.strip() for group in flex for name in group.split(",") if name.strip()})
        layers = sorted(set(re.findall(rf'"([\w/.-]+)/(?:{"|".join(map(re.escape, names))})[@"_]', str(failure))))
        where = f" (in {', '.join(layers)})" if layers else ""
        return (
            f"TFLite has no builtin operation for {', '.join(names)}{where}, and LiteRT's interpreters ship without "
            "TensorFlow's own kernels. Replace the layer that uses it, or export to .onnx."
        )
    return f"The TFLite converter failed: {failure}\n{failure.printed}".rstrip()


class TFLiteRunner:
    """A .tflite file in LiteRT's interpreter, with or without the XNNPACK delegate."""

    def __init__(self, path: str | os.PathLike, *, xnnpack: bool = True, threads: int = 1) -> None:
        resolver = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with quiet_stderr():
                self._interpreter = Interpreter(
                    os.fspath(path), num_threads=threads, experimental_op_resolver_type=resolver
                )
                self._read_interface()
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"'{path}' is no TFLite file that LiteRT can run: {str(error).splitlines()[0]}."
            ) from error

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
        self.inputs = tuple(
            Spec(d["name"], tuple(None if n < 0 else int(n) for n in d["shape_signature"]), np.dtype(d["dtype"]).name)
            for d in inputs
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
            self._interpreter.set_tensor(self._input_index[name], array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._output_index.items()}


def _named(details: list[dict], by_name: dict[str, dict]) -> list[dict]:
    """The file's order with the signature's names; a tensor that has two names is listed under both."""
    order = [detail["index"] for detail in details]
    entries = [dict(detail, name=name) for name, detail in by_name.items()]
    return sorted(entries, key=lambda entry: order.index(entry["index"]) if entry["index"] in order else len(order))


def runners(path: Path) -> dict[str, TFLiteRunner]:
    return {
        "LiteRT, XNNPACK": TFLiteRunner(path),
        "LiteRT, reference kernels": TFLiteRunner(path, xnnpack=False),
    }


def op_counts(path: Path) -> dict[str, int]:
    model = flatbuffer_utils.read_model(os.fspath(path))
    codes = [flatbuffer_utils.opcode_to_name(model, i) for i in range(len(model.operatorCodes))]
    counts = Counter(codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators)
    return dict(sorted(counts.items()))
