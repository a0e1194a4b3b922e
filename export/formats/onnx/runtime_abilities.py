"""What the installed ONNX Runtime can do, found by asking it."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

import numpy as np
import onnx
import onnxruntime
from onnx import defs

DEFAULT_OPSET = 18
OLDEST_OPSET = 13
_IR_VERSION = 8  # what tf2onnx writes: onnx's own newest may be past what the runtime reads


@lru_cache
def newest_opset() -> int:
    """The newest opset that ONNX Runtime loads."""
    one = ("x", onnx.TensorProto.FLOAT, [1]), ("y", onnx.TensorProto.FLOAT, [1])
    x, y = (onnx.helper.make_tensor_value_info(*spec) for spec in one)
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "probe", [x], [y])
    for opset in range(defs.onnx_opset_version(), OLDEST_OPSET, -1):
        with suppress(Exception):
            _session(graph, opset)
            return opset
    return OLDEST_OPSET


@lru_cache
def layer_norm_is_exact() -> bool:
    """Whether LayerNormalization centres before it squares; older versions did not."""
    row = (onnx.TensorProto.FLOAT, [1, 4])
    x, y = (onnx.helper.make_tensor_value_info(name, *row) for name in "xy")
    node = onnx.helper.make_node("LayerNormalization", ["x", "gamma"], ["y"], epsilon=1e-6)
    gamma = onnx.numpy_helper.from_array(np.ones(4, np.float32), "gamma")
    graph = onnx.helper.make_graph([node], "probe", [x], [y], [gamma])
    (found,) = _session(graph, DEFAULT_OPSET).run(None, {"x": np.array([[40000, 40001, 40002, 40003]], np.float32)})
    return bool(np.allclose(found, np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=0, atol=1e-5))


def _session(graph: onnx.GraphProto, opset: int) -> onnxruntime.InferenceSession:
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
