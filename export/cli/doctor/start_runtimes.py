"""Whether each runtime starts and computes: in a process of its own, since a broken one may end the process or hang.

The programs are short: each makes a file that adds a number to itself, and runs it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .parts import installed

_SECONDS = 120  # TensorFlow takes long on a slow disk

_LITERT = """
import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
import numpy as np

def tensor(name):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, [1], schema.TensorType.FLOAT32, 0
    return made

code = schema.OperatorCodeT()
code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
add = schema.OperatorT()
add.opcodeIndex, add.inputs, add.outputs = 0, [0, 0], [1]
add.builtinOptionsType, add.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
graph = schema.SubGraphT()
graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor("x"), tensor("y")], [add], [0], [1]
model = schema.ModelT()
model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
builder = flatbuffers.Builder()
builder.Finish(model.Pack(builder), b"TFL3")
interpreter = Interpreter(model_content=bytes(builder.Output()))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.float32([21]))
interpreter.invoke()
assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0] == 42
"""
_ONNX_RUNTIME = """
import numpy as np, onnx, onnxruntime
from onnx import helper, TensorProto
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.float32([21])})[0][0] == 42
"""
_TENSORFLOW = """
import tensorflow as tf
assert tf.function(lambda x: x + x)(tf.constant(21.0)).numpy() == 42
"""
_TF2ONNX = """
import tensorflow as tf, tf2onnx
spec = (tf.TensorSpec((1,), tf.float32, name="x"),)
model, _ = tf2onnx.convert.from_function(tf.function(lambda x: x + x), input_signature=spec, opset=13)
assert [node.op_type for node in model.graph.node] == ["Add"]
"""


@dataclass(frozen=True)
class Runtime:
    """A runtime, the packages that it needs, and a program that ends with 0 if it works."""

    name: str
    packages: tuple[str, ...]
    program: str


RUNTIMES = (
    Runtime("LiteRT runs a .tflite file", ("ai-edge-litert", "flatbuffers", "numpy"), _LITERT),
    Runtime("ONNX Runtime runs an .onnx file", ("onnxruntime", "onnx", "numpy"), _ONNX_RUNTIME),
    Runtime("TensorFlow computes", ("tensorflow",), _TENSORFLOW),
    Runtime("tf2onnx converts a function", ("tf2onnx", "tensorflow"), _TF2ONNX),
)


@dataclass(frozen=True)
class Started:
    """`problem` is None if the runtime works, `skipped` names a package that it needs and that is not there."""

    name: str
    seconds: float
    problem: str | None = None
    skipped: str | None = None


def start_all(runtimes: tuple[Runtime, ...] = RUNTIMES) -> list[Started]:
    """Start each runtime, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(start, runtimes))


def start(runtime: Runtime) -> Started:
    """Run the program of one runtime, if what it needs is installed."""
    for package in runtime.packages:
        if installed(package) is None:
            return Started(runtime.name, 0.0, skipped=package)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    begun = time.monotonic()
    try:
        done = subprocess.run(
            # The import path of the command: a user's own onnx.py in the current folder must not be found.
            [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{runtime.program}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **quiet},
            timeout=_SECONDS,
            check=False,
        )
        problem = _problem(done)
    except subprocess.TimeoutExpired:
        problem = f"it was still running after {_SECONDS} seconds"
    return Started(runtime.name, time.monotonic() - begun, problem)


def _problem(done: subprocess.CompletedProcess[bytes]) -> str | None:
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        try:
            name = signal.Signals(-done.returncode).name
        except ValueError:
            name = "unknown"
        return f"its process was ended by signal {-done.returncode} ({name})"
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"its process ended with code {done.returncode}"
