"""tf2onnx, with its gaps mended: from a SavedModel to an ONNX graph as plain as it can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import convert_to_constants
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from .unsupported import naming_failures

for _old, _new in (("product", "prod"), ("cast", "asarray")):  # tf2onnx asks NumPy 2 for names that it dropped
    if not hasattr(np, _old):
        setattr(np, _old, getattr(np, _new))

import tf2onnx  # noqa: E402
from tf2onnx import optimizer, tf_loader  # noqa: E402
from tf2onnx.onnx_opset.controlflow import Select  # noqa: E402

NEWEST_OPSET = 18
_RESIZE_KNOWS_AXES = 18
# Transposes are `layout`'s business: tf2onnx makes Reshapes of some, which hide the layout. Its way with Einsum
# regroups every dimension; `einsum` writes one MatMul.
_READS = ("Identity", "ReadVariableOp")
_BRANCHES = {"If": 1, "StatelessIf": 1, "While": 0, "StatelessWhile": 0}  # the first input that their functions get
_LEFT_OUT = ("optimize_transpose", "einsum_optimizer", "global_pool_optimizer")


def from_tensorflow(
    saved_model: str, names: dict[str, list[str]], opset: int, set_aside_above: int
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The ONNX form of the one signature of `saved_model`, inputs and outputs renamed, and weights by input name.

    Protobuf ends at 2 GB, and each step of the converter copies the graph with all that is in it. Where the weights
    take more bytes than `set_aside_above`, the large ones are inputs of the graph on its way through the converter, and
    come back beside it.
    """
    _let_inline(Path(saved_model) / "saved_model.pb")
    loaded = tf.saved_model.load(saved_model)
    concrete = loaded.signatures["serving_default"]
    aside = _large(concrete, set_aside_above)
    data = convert_to_constants._FunctionConverterDataInEager(
        concrete, lower_control_flow=False, aggressive_inlining=True, variable_names_denylist=frozenset(aside)
    )
    definition, _ = convert_to_constants._replace_variables_by_constants(converter_data=data)
    weights = _as_inputs(definition, aside)
    # Named one by one: left to itself, tf2onnx takes captured constants for inputs.
    captured = {tensor.name for tensor in concrete.graph.internal_captures}
    inputs = sorted(tensor.name for tensor in concrete.inputs if tensor.name not in captured)
    outputs = [tensor.name for tensor in concrete.outputs]
    with tf.Graph().as_default() as graph:
        definition = tf_loader.tf_optimize([*inputs, *weights], outputs, definition)
        _add_states(definition)
        _tell_branches_shapes(definition)
        tf.import_graph_def(definition, name="")
        with naming_failures():
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                input_names=[*inputs, *weights],
                output_names=outputs,
                opset=opset,
                custom_op_handlers=_HANDLERS,
                tensors_to_rename=dict(zip(inputs + outputs, names["inputs"] + names["outputs"], strict=True)),
            )
        _mend_resizes(converted)
        _mend_transposed(converted)
        kept = {name: make for name, make in optimizer._get_optimizers().items() if name not in _LEFT_OUT}
        proto = optimizer.optimize_graph(converted, catch_errors=False, optimizers=kept).make_model("keras")
    return proto, {name: variable.numpy() for name, variable in weights.items()}


def _tell_branches_shapes(definition: graph_pb2.GraphDef) -> None:
    """Write into each branch what its caller knows of its arguments: tf2onnx takes the condition for the first."""
    functions = {function.signature.name: function for function in definition.library.function}
    nodes = [*definition.node, *(node for function in functions.values() for node in function.node_def)]
    if not any(node.op in _BRANCHES for node in nodes):
        return
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        todo = [graph]
        while todo:
            for operation in todo.pop().get_operations():
                first = _BRANCHES.get(operation.type)
                for value in operation.node_def.attr.values() if first is not None else ():
                    for name in {value.func.name, *(function.name for function in value.list.func)} & functions.keys():
                        _tell_shapes(functions[name], [tensor.shape for tensor in operation.inputs[first:]])
                        todo.append(function_def_to_graph(functions[name]))


def _tell_shapes(function: function_pb2.FunctionDef, shapes: list[tf.TensorShape]) -> None:
    """Arguments of unknown rank get theirs of `shapes`."""
    for i, shape in enumerate(shapes):
        known = function.arg_attr[i].attr["_output_shapes"].list.shape
        if not known or known[0].unknown_rank:
            del known[:]
            known.add().CopyFrom(shape.as_proto())


def _mend_resizes(graph: Any) -> None:
    """Resizes as their opset has them, to sizes that every reader takes for the same.

    tf2onnx's coordinates of a nearest resize, floor((x + .5) / s), have had no name of their own since opset 13. They
    are those of half pixels, rounded with ties up; for an integer s also floor(x / s), which runtimes are fast at. And
    the size of the result is floor(n s), where an s rounded down makes one less than was meant: then the size is said.
    """
    for node in (node for node in graph.get_nodes() if node.type == "Resize"):
        scales = node.inputs[2].get_tensor_value(as_list=False) if node.inputs[2].is_const() else np.zeros(0)
        whole = scales.size and np.array_equal(scales, np.round(scales)) and scales.min() >= 1
        if node.get_attr_str("coordinate_transformation_mode") == "tf_half_pixel_for_nn":
            node.set_attr("coordinate_transformation_mode", "asymmetric" if whole else "half_pixel")
            node.set_attr("nearest_mode", "floor" if whole else "round_prefer_ceil")
        shape = graph.get_shape(node.input[0])
        if not scales.size or not shape:
            continue
        product = scales.astype(np.float64) * shape
        meant = np.where(np.array(shape) < 0, -1, np.rint(product)).astype(int).tolist()
        graph.set_shape(node.output[0], meant)
        if all(m < 0 or np.floor(p) == m for m, p in zip(meant, product, strict=True)):
            continue
        if graph.opset >= _RESIZE_KNOWS_AXES or -1 not in meant:
            known = [axis for axis, m in enumerate(meant) if m > 0]
            sizes = graph.make_const(f"{node.name}/sizes", np.array([meant[axis] for axis in known], np.int64))
            graph.replace_inputs(node, [node.input[0], "", "", sizes.output[0]])
            if len(known) < len(meant):
                node.set_attr("axes", known)
        else:
            raised = np.where(np.floor(product) < meant, np.nextafter(scales, np.float32(np.inf)), scales)
            const = graph.make_const(f"{node.name}/scales", raised.astype(np.float32))
            graph.replace_input(node, node.input[2], const.output[0], 2)


def _mend_transposed(graph: Any) -> None:
    """Rows that a transposed convolution adds at the end, which tf2onnx writes as padding below zero."""
    for node in (node for node in graph.get_nodes() if node.type == "ConvTranspose"):
        pads = node.get_attr_value("pads") or []
        added = [-min(0, sum(pair)) for pair in zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)]
        if any(added):
            node.set_attr("pads", [0 if added[i % len(added)] else pad for i, pad in enumerate(pads)])
            node.set_attr("output_padding", added)


def _large(concrete: Any, limit: int) -> dict[str, tf.Variable]:
    """If all variables take more than `limit` bytes: those of over a thousandth of it, by their placeholders' names."""
    handles = {id(variable.handle): variable for variable in concrete.graph.variables}
    captures = {inside.op.name: handles.get(id(outside)) for outside, inside in concrete.graph.captures}
    sizes = {name: v.dtype.size * v.shape.num_elements() for name, v in captures.items() if v is not None}
    if sum(sizes.values()) <= limit:
        return {}
    inlined = convert_to_constants._run_inline_graph_optimization(concrete, False, True)
    # Those that a loop reads inside of itself have to be constants.
    looped = {_source(inlined, name) for node in inlined.node if node.op not in _READS for name in node.input}
    return {name: captures[name] for name, size in sizes.items() if size > limit / 1000 and name not in looped}


def _source(definition: graph_pb2.GraphDef, name: str) -> str:
    """The node that a resource comes from."""
    nodes = {node.name: node for node in definition.node}
    node = nodes.get(name.lstrip("^").partition(":")[0])
    while node is not None and node.op == "Identity":
        node = nodes.get(node.input[0].partition(":")[0])
    return node.name if node is not None else ""


def _as_inputs(definition: graph_pb2.GraphDef, aside: dict[str, tf.Variable]) -> dict[str, tf.Variable]:
    """Turn each read of a variable that was set aside into an input; the variables by the names of these."""
    inputs = {}
    for node in definition.node if aside else ():
        if node.op != "ReadVariableOp":
            continue
        variable = aside[_source(definition, node.input[0])]
        node.op = "Placeholder"
        del node.input[:]
        node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
        inputs[f"{node.name}:0"] = variable
    used = {name.partition(":")[0] for node in definition.node for name in node.input}
    kept = [node for node in definition.node if node.name not in aside or node.name in used]
    del definition.node[:]
    definition.node.extend(kept)
    return inputs


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """erfc(x) = 1 - erf(x): exact GELU uses it, and tf2onnx does not know it."""
    one = context.make_const(f"{name}/one", np.array(1.0, np.float32))
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(name)
    erf = context.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[dtype])
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype]
    )


def _where(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Where, which takes nothing of the side that was not chosen: the converter's own c x + (1 - c) y takes NaN."""
    if context.get_dtype(node.output[0]) == onnx.TensorProto.BOOL:  # ONNX Runtime has no kernel for it
        Select.version_7(context, node)
        return
    node.set_attr("handles_nan", 1)
    Select.version_9(context, node)
    del node.attr["handles_nan"]


def _bucketize(context: Any, node: Any, name: str, arguments: Any) -> None:
    """The number of boundaries that x is not below; the layer Discretization uses it, and tf2onnx does not know it."""
    boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
    shape, dtype, x = context.get_shape(node.output[0]), context.get_dtype(node.output[0]), node.input[0]
    context.remove_node(name)
    last, limits = context.make_const(f"{name}/last", np.array([-1])), context.make_const(f"{name}/limits", boundaries)
    if context.get_dtype(x) != onnx.TensorProto.FLOAT:
        x = context.make_node("Cast", [x], attr={"to": onnx.TensorProto.FLOAT}).output[0]
    x = context.make_node("Unsqueeze", [x, last.output[0]]).output[0]
    above = context.make_node("GreaterOrEqual", [x, limits.output[0]]).output[0]
    ones = context.make_node("Cast", [above], attr={"to": dtype}).output[0]
    context.make_node(
        "ReduceSum",
        [ones, last.output[0]],
        attr={"keepdims": 0},
        name=name,
        outputs=node.output,
        shapes=[shape],
        dtypes=[dtype],
    )


_HANDLERS: dict[str, tuple[Any, list]] = {
    "Bucketize": (_bucketize, []),
    "Erfc": (_erfc, []),
    "Select": (_where, []),
    "SelectV2": (_where, []),
}


def _let_inline(path: Path) -> None:
    """Drop the marks that keep a function apart for XLA; Keras puts one around each grouped convolution.

    tf2onnx does not inline a marked function: it leaves a call in the file, which is then no valid ONNX.
    """
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta in saved.meta_graphs:
        nodes = list(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            function.attr.pop("_XlaMustCompile", None)
            nodes.extend(function.node_def)
        for node in nodes:
            node.attr.pop("_XlaMustCompile", None)
    path.write_bytes(saved.SerializeToString(deterministic=True))


def _add_states(definition: graph_pb2.GraphDef) -> None:
    """Undo what Keras makes of an addition in a recurrent layer at batch 1, where (1, units) looks like a bias.

    BiasAdd(x, Squeeze(y)) is x + y; tf2onnx knows an LSTM or GRU by the plain addition only, and writes a loop else.
    """
    for function in definition.library.function:
        squeezed = {f"{n.name}:output:0": n.input[0] for n in function.node_def if n.op == "Squeeze"}
        renamed = {}
        for node in function.node_def:
            if node.op == "BiasAdd" and node.input[1] in squeezed and node.attr["data_format"].s in (b"", b"NHWC"):
                node.op, node.input[1] = "AddV2", squeezed[node.input[1]]
                node.attr.pop("data_format", None)
                renamed[f"{node.name}:output:0"] = f"{node.name}:z:0"
        for node in function.node_def:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
        for result, name in function.ret.items():
            function.ret[result] = renamed.get(name, name)
