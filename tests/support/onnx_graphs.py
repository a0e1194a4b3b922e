"""Small ONNX graphs written node by node, and what passes make of one that a converter wrote."""

import numpy as np
import onnx
import onnx_ir as ir
from keras_norms.export.formats.onnx.passes.drop_identities import drop_identities
from keras_norms.export.formats.onnx.passes.pass_types import PassOptions
from onnx_files import passed
from onnx_ir.passes import common


def graph(nodes, constants, shape, output):
    value = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [onnx.helper.make_node(op, inputs, outputs, name=outputs[0], **more) for op, inputs, outputs, more in nodes],
        "g",
        [value("x", onnx.TensorProto.FLOAT, shape)],
        [value("y", onnx.TensorProto.FLOAT, output)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def changed(proto, *passes, **options):
    """As a converter leaves it: constants in nodes of their own, idle nodes."""
    model = ir.from_proto(proto)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    drop_identities(model, PassOptions())
    return passed(ir.to_proto(model), *passes, **options)
