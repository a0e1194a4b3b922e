"""Small models for .onnx files, and what such a file holds."""

from collections import Counter

import keras
import onnx
import onnx_ir
import onnxruntime
from keras_norms.export.formats.onnx.passes.pass_types import PassOptions
from models import randomize
from onnx_ir.passes import common


def chain(shape, *layers, batch=None):
    x = inputs = keras.Input(shape, batch_size=batch, name="x")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(inputs, x))


def counted(path):
    return dict(Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node))


def opset_of(path):
    return onnx.load(path, load_external_data=False).opset_import[0].version


def run_as_written(proto, x):
    """Outputs by name in ONNX Runtime, which optimizes nothing."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([y.name for y in session.get_outputs()], session.run(None, {"x": x}), strict=True))


def passed(proto, *passes, **options):
    """`proto` after each of the passes and checked; values between its ends are named anew, their shapes forgotten.

    `options` are those of `PassOptions`.
    """
    model = onnx_ir.from_proto(proto)
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
    for change in passes:
        change(model, PassOptions(**options))
        common.RemoveUnusedNodesPass()(model)
    for i, node in enumerate(model.graph):
        node.name = f"n{i}"
        for j, value in enumerate(node.outputs):
            if not value.is_graph_output():
                value.name, value.shape = f"n{i}_{j}", None
    result = onnx_ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    return result
