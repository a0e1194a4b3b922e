"""TFLite (LiteRT): TensorFlow's converter, builtin operations only, run by ai-edge-litert."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ...errors import ExportError
from ...model.layer_names import layer_of
from ...model.signature import Signature, Spec
from ...worker.client import ConversionError, run_job
from ...worker.quiet import quiet_stderr
from ..protocol import Runner
from .flex_runner import FlexRunner, flex_ops
from .metadata import read_metadata, write_metadata  # noqa: F401
from .run_preserving import is_scaled, narrowed, widened
from .tensors import tensors  # noqa: F401  (part of a target, as the next)

NAME = "TFLite"
CHANNELS_FIRST = False
CONVERTER = "formats.tflite.convert.saved_model_to_tflite"  # runs in the child process
MODES = ("float16", "dynamic", "int8", "int16x8")
CALIBRATED = ("dynamic", "int8", "int16x8")


def check(options: dict[str, Any]) -> None:
    """Refuse an unknown `target`; every combination of the other options is possible."""
    if options.get("target") not in (None, "gpu"):
        raise ExportError(f"target must be None or 'gpu'; got {options['target']!r}.")
    if options.get("io_dtype") not in (None, "float32", "int8"):
        raise ExportError(f"io_dtype must be None, 'float32' or 'int8'; got {options['io_dtype']!r}.")
    if options.get("io_dtype") == "int8" and options.get("quantize") != "int8":
        raise ExportError(
            f"io_dtype='int8' goes with quantize='int8'; quantize is {options.get('quantize')!r}. Change one of them."
        )
    if options.get("allow_flex") and options.get("quantize") in ("int8", "int16x8"):
        raise ExportError(
            f"allow_flex goes with floats: quantize must be None, 'float16' or 'dynamic'; got {options['quantize']!r}."
        )
    if options.get("allow_flex") and options.get("calibration") is not None:
        raise ExportError(
            "calibration does not go with allow_flex: LiteRT cannot run such a file to look into it. Leave one out."
        )


def convert(saved_model: Path, path: Path, sig: Signature, options: dict[str, Any]) -> tuple[str, ...]:
    """Write the TFLite form of a traced model to `path`; return warnings.

    Raises:
        ExportError: an operation that the TFLite runtime does not have built in; the message names it and its layer.
    """
    names = {"inputs": [spec.name for spec in sig.inputs], "outputs": list(sig.outputs)}
    mode, calibration = options.get("quantize"), options.get("calibration")
    job = f"{CONVERTER}:convert_saved_model"
    try:
        flex, io = bool(options.get("allow_flex")), options.get("io_dtype")
        run = partial(run_job, job, saved_model=saved_model, path=path, names=names, flex=flex)
        stayed = run(mode=mode, calibration=calibration, io_dtype=io, progress=options.get("progress"))
    except ConversionError as failure:
        raise ExportError(_explain(failure, options.get("layers"))) from failure
    return _flex_warning(path) + _float_note(stayed)


def _float_note(stayed: dict[str, list[str]]) -> tuple[str, ...]:
    """What an 8-bit or 16-bit file computes in float, and why."""
    norms, layers = stayed.get("norms", []), stayed.get("layers", [])
    reasons = []
    if norms:
        reasons.append(f"{len(norms)} norms, whose statistics differ too much between groups for one scale")
    if layers:
        reasons.append(f"{', '.join(layers)}, which lose most of all layers to rounding (measured)")
    return (f"in float stay {'; '.join(reasons)}",) if reasons else ()


def _flex_warning(path: Path) -> tuple[str, ...]:
    found = flex_ops(path)
    if not found:
        return ()
    return (
        f"it needs TensorFlow's own kernels for {', '.join(found)}: LiteRT's interpreters do not run it without the "
        "Flex delegate, which an app has to link. It was verified with LiteRT's kernels and TensorFlow's, step by step",
    )


def _explain(failure: ConversionError, known: Collection[str] | None) -> str:
    flex = re.findall(r"(?:TF Select|Flex|Custom) ops?: ([\w, ]+)", f"{failure}\n{failure.printed}")
    if flex:
        names = sorted({name.strip() for group in flex for name in group.split(",") if name.strip()})
        nodes = sorted(set(re.findall(rf'"(?:{"|".join(map(re.escape, names))}):", "([^"@]+)@', str(failure))))
        layers = list(dict.fromkeys(layer_of(node, known) for node in nodes))
        where = f" (in {', '.join(layers)})" if layers else ""
        return (
            f"TFLite has no builtin operation for {', '.join(names)}{where}, and LiteRT's interpreters ship without "
            "TensorFlow's own kernels. Replace the layer that uses it, export to .onnx, or pass "
            "allow_flex=True if your app links the Flex delegate."
        )
    if "TensorListReserve" in str(failure):
        recurrent = sorted(set(re.findall(r'"[\w.-]+/([\w/.-]+)/TensorArray', str(failure))))
        return (
            f"TFLite needs a fixed batch for recurrent layers ({', '.join(recurrent) or 'one is in the model'}). "
            "Pass batch_size=1, or the batch size you will run."
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


def _dtype(detail: dict) -> str:
    return "float32" if is_scaled(detail) else np.dtype(detail["dtype"]).name


def _named(details: list[dict], by_name: dict[str, dict]) -> list[dict]:
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
            f"'{path}' is no TFLite file that LiteRT can run: {error}. Export the model again."
        ) from error


def op_counts(path: Path) -> dict[str, int]:
    model = flatbuffer_utils.read_model(os.fspath(path))
    codes = [flatbuffer_utils.opcode_to_name(model, i) for i in range(len(model.operatorCodes))]
    counts = Counter(codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators)
    return dict(sorted(counts.items()))


def quantized_as(path: Path) -> str | None:
    """The mode of a file, read off the types of its tensors; None for float32."""
    graph = flatbuffer_utils.read_model(os.fspath(path)).subgraphs[0]
    kinds = {flatbuffer_utils.type_to_name(tensor.type) for tensor in graph.tensors if tensor.quantization is not None}
    made = {
        flatbuffer_utils.type_to_name(graph.tensors[i].type) for op in graph.operators for i in op.outputs if i >= 0
    }
    if "INT16" in made:
        return "int16x8"
    if "INT8" in made:
        return "int8"
    if "INT8" in kinds:
        return "dynamic"
    return "float16" if "FLOAT16" in {flatbuffer_utils.type_to_name(t.type) for t in graph.tensors} else None
