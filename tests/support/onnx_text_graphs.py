"""Graphs in ONNX's text form."""

import numpy as np
import onnx
import onnx_ir as ir
from keras_norms.export.formats.onnx.passes.clean import infer_shapes
from onnx import parser


def parsed(text, opset=18):
    """The graph of `text`; inputs that are called w... are weights of random numbers."""
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {text}')
    rng = np.random.default_rng(1)
    for value in [value for value in proto.graph.input if value.name.startswith("w")]:
        array = rng.normal(size=[n.dim_value for n in value.type.tensor_type.shape.dim]).astype("float32")
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        proto.graph.input.remove(value)
    for i, node in enumerate(proto.graph.node):
        node.name = f"n{i}"
    onnx.checker.check_model(proto)
    model = ir.from_proto(proto)
    infer_shapes(model)
    return model


def kinds(model):
    return " ".join(node.op_type for node in model.graph)
