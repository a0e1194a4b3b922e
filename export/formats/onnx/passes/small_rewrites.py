"""Small rewrites of what tf2onnx writes: series without a height, dense layers without reshapes, GELU, biases."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ....model.layer_names import NORM_SCOPE
from .ir_utils import (
    attribute,
    constant,
    insert,
    made_by,
    new_constant,
    only_use,
    operand,
    replace,
    scalar,
    static,
    with_constant,
)
from .permute_op import reduced_axes
from .symbolic_shapes import evaluate, same_sizes, sizes

_MOST_POOLED = 28 * 28


def drop_identities(graph: ir.Graph) -> None:
    """Remove each Identity but those that give an output of the graph its own name beside another."""
    for node in [node for node in graph if node.op_type == "Identity"]:
        source = node.inputs[0]
        taken = source is None or source.is_graph_output() or source.is_graph_input() or source.is_initializer()
        if source is not None and not (taken and node.outputs[0].is_graph_output()):
            replace(node.outputs[0], source)


def fold_weights(graph: ir.Graph) -> None:
    """Do to constants at once what the graph would do to them: only weights that were set aside still need it."""
    for node in list(graph):
        array = constant(node.inputs[0]) if node.inputs else None
        if array is None or node.op_type not in ("Transpose", "Reshape"):
            continue
        if node.op_type == "Transpose":
            folded = array.transpose(attribute(node, "perm"))
        else:
            target = constant(node.inputs[1])
            if target is None or (target == 0).any():
                continue
            folded = array.reshape([int(n) for n in target])
        replace(node.outputs[0], new_constant(graph, folded, str(node.name)))


def dense_without_reshapes(graph: ir.Graph) -> None:
    """Reshape to rows, MatMul, Reshape back: MatMul alone does it for any rank."""
    for last in list(graph):
        product = made_by(last.inputs[0], "MatMul") if last.op_type == "Reshape" else None
        first = made_by(product.inputs[0], "Reshape") if product is not None else None
        if product is None or first is None or only_use(product.outputs[0]) is not last:
            continue
        x, kernel = first.inputs[0], constant(product.inputs[1])
        given = sizes(x) if x is not None else None
        if kernel is None or kernel.ndim != 2 or not given or given[-1] != kernel.shape[0] or len(given) < 2:
            continue
        if same_sizes(evaluate(last.inputs[1]), [*given[:-1], kernel.shape[1]]):
            y = insert(last, "MatMul", [x, product.inputs[1]], str(product.name), last.outputs[0].shape)
            replace(last.outputs[0], y)


def gelu(graph: ir.Graph) -> None:
    """x/2 (1 - erf(-x/sqrt 2)) in the form that runtimes know, x/2 (1 + erf(x/sqrt 2)), or as one operation."""
    for erf in [node for node in graph if node.op_type == "Erf"]:
        minus = only_use(erf.outputs[0])
        scaled = made_by(erf.inputs[0], "Mul")
        product = only_use(minus.outputs[0]) if minus is not None and minus.op_type == "Sub" else None
        if scaled is None or product is None or product.op_type != "Mul" or scalar(minus.inputs[0]) != 1.0:  # type: ignore[union-attr]
            continue
        inner = with_constant(scaled)
        negative = made_by(inner[0], "Neg") if inner else None
        other = next((v for v in product.inputs if v is not minus.outputs[0]), None)  # type: ignore[union-attr]
        half = with_constant(made_by(other, "Mul")) if made_by(other, "Mul") else None  # type: ignore[arg-type]
        if negative is None or half is None or half[0] is not negative.inputs[0]:
            continue
        if half[1].size != 1 or inner[1].size != 1 or abs(float(inner[1].reshape(())) - math.sqrt(0.5)) > 1e-6:  # type: ignore[index]
            continue
        if float(half[1].reshape(())) == 0.5:
            _write_gelu(product, half[0])


def _write_gelu(last: ir.Node, x: ir.Value) -> None:
    graph, name = last.graph, str(last.name)
    assert graph is not None
    shape = last.outputs[0].shape
    if graph.opset_imports[""] >= 20:
        replace(last.outputs[0], insert(last, "Gelu", [x], name, shape))
        return
    number = lambda value: new_constant(graph, np.float32(value), f"{name}/constant")  # noqa: E731
    scaled = insert(last, "Div", [x, number(math.sqrt(2))], f"{name}/Div", shape)
    erf = insert(last, "Erf", [scaled], f"{name}/Erf", shape)
    both = insert(last, "Mul", [x, insert(last, "Add", [erf, number(1)], f"{name}/Add", shape)], f"{name}/Mul", shape)
    replace(last.outputs[0], insert(last, "Mul", [both, number(0.5)], name, shape))


def bias_into_convolution(graph: ir.Graph) -> None:
    """Conv, Add of a constant a channel: the bias of the convolution."""
    for node in list(graph):
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        add, rank = only_use(node.outputs[0]), len(node.inputs[1].shape or ())  # type: ignore[union-attr]
        found = with_constant(add) if add is not None and add.op_type == "Add" else None
        if found is None or found[0] is not node.outputs[0] or found[1].ndim > rank:
            continue
        array = found[1].reshape((1,) * (rank - found[1].ndim) + found[1].shape)
        channels = _output_channels(node)
        if channels is None or array.shape not in ((1, channels, *[1] * (rank - 2)), (1,) * rank):
            continue
        bias = np.broadcast_to(array.reshape(-1), (channels,)).astype(array.dtype)
        old = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        if len(node.inputs) > 2 and node.inputs[2] is not None and old is None:
            continue
        node.resize_inputs(3)
        node.replace_input_with(2, new_constant(graph, bias if old is None else bias + old, f"{node.name}/bias"))
        replace(add.outputs[0], node.outputs[0])  # type: ignore[union-attr]


def padding_into_convolution(graph: ir.Graph) -> None:
    """Pad with zeros, Conv: the padding of the convolution."""
    for node in [node for node in graph if node.op_type == "Pad"]:
        conv, pads = only_use(node.outputs[0]), constant(node.inputs[1])
        value = scalar(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else 0.0
        if conv is None or conv.op_type != "Conv" or conv.inputs[0] is not node.outputs[0] or pads is None:
            continue
        if value != 0 or len(node.inputs) > 3 or attribute(node, "mode", "constant") != "constant":
            continue
        starts, ends = pads.reshape(2, -1)
        if attribute(conv, "auto_pad", "NOTSET") != "NOTSET" or (pads < 0).any() or starts[:2].any() or ends[:2].any():
            continue
        more = np.concatenate([starts[2:], ends[2:]])
        own = attribute(conv, "pads", [0] * len(more))
        conv.attributes["pads"] = ir.AttrInt64s("pads", [int(n) for n in more + np.array(own)])
        conv.replace_input_with(0, node.inputs[0])


def _output_channels(node: ir.Node) -> int | None:
    kernel = constant(node.inputs[1])
    if kernel is None:
        return None
    return kernel.shape[0] if node.op_type == "Conv" else kernel.shape[1] * int(attribute(node, "group", 1))


def relu6(graph: ir.Graph) -> None:
    """Min(Relu(x), 6) and its like: one Clip, which runtimes merge into a convolution."""
    for node in list(graph):
        found = operand(node, "Relu") if node.op_type == "Min" and len(node.inputs) == 2 else None
        limit = scalar(found[1]) if found else None
        if found is None or limit is None or only_use(found[0].outputs[0]) is not node:
            continue
        zero, top = (new_constant(graph, np.float32(n), f"{node.name}/limit") for n in (0.0, limit))
        replace(node.outputs[0], insert(node, "Clip", [found[0].inputs[0], zero, top], str(node.name)))


def average_pool(graph: ir.Graph) -> None:
    """The mean over a small image as a pool, which ONNX Runtime computes in the layout of its convolutions.

    Larger ones stay: a pool adds up one number after another.
    """
    for node in [node for node in graph if node.op_type == "ReduceMean"]:
        x, axes = node.inputs[0], reduced_axes(node)
        shape = static(x) if x is not None else None
        if axes is None or shape is None or len(shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
            continue
        if None in shape[2:] or math.prod(shape[2:]) > _MOST_POOLED or f"/{NORM_SCOPE}/" in str(node.name):  # type: ignore[arg-type]
            continue
        y = insert(node, "GlobalAveragePool", [x], str(node.name), ir.Shape([*x.shape[:2], 1, 1]))  # type: ignore[union-attr,index]
        if attribute(node, "keepdims", 1) == 0:
            y = insert(node, "Flatten", [y], f"{node.name}/flat", node.outputs[0].shape, axis=1)
        replace(node.outputs[0], y)


def hard_sigmoid(graph: ir.Graph) -> None:
    """Clip(x + 3, 0, 6) / 6 and its like: one HardSigmoid, which runtimes merge into a convolution too."""
    for node in [node for node in graph if node.op_type == "Clip" and len(node.inputs) == 3]:
        add, scale = made_by(node.inputs[0], "Add"), only_use(node.outputs[0])
        shifted = with_constant(add) if add is not None and only_use(add.outputs[0]) is node else None
        scaled = with_constant(scale) if scale is not None and scale.op_type in ("Div", "Mul") else None
        low, top = (scalar(limit) for limit in node.inputs[1:])
        if shifted is None or scaled is None or shifted[1].size != 1 or scaled[1].size != 1 or low != 0 or top is None:
            continue
        if scale.op_type == "Div" and scaled[0] is not scale.inputs[0]:  # type: ignore[union-attr]
            continue
        factor = float(scaled[1].reshape(()))
        alpha = 1 / factor if scale.op_type == "Div" and factor else factor  # type: ignore[union-attr]
        beta = float(shifted[1].reshape(())) * alpha
        if shifted[0].shape != node.outputs[0].shape or abs(alpha * top - 1) > 1e-6:
            continue
        y = insert(scale, "HardSigmoid", [shifted[0]], str(node.name), shifted[0].shape, alpha=alpha, beta=beta)  # type: ignore[arg-type]
        replace(scale.outputs[0], y)  # type: ignore[union-attr]


def reduce_without_reshape(graph: ir.Graph) -> None:
    """Reduce axes away and Reshape them back in: the reduction that keeps them."""
    for node in list(graph):
        reduction = node.inputs[0].producer() if node.op_type == "Reshape" and node.inputs[0] is not None else None
        if reduction is None or not reduction.op_type.startswith("Reduce") or attribute(reduction, "keepdims", 1) == 1:
            continue
        own, axes = sizes(reduction.inputs[0]), reduced_axes(reduction)  # type: ignore[arg-type]
        if own is None or not axes or only_use(reduction.outputs[0]) is not node:
            continue
        gone = {axis % len(own) for axis in axes}
        kept = [1 if axis in gone else n for axis, n in enumerate(own)]
        if same_sizes(_without_zeros(evaluate(node.inputs[1]), reduction.outputs[0]), kept):
            attributes = {**reduction.attributes, "keepdims": ir.AttrInt64("keepdims", 1)}
            new = ir.node(reduction.op_type, list(reduction.inputs), attributes, name=reduction.name)
            new.outputs[0].name, new.outputs[0].type = f"{node.outputs[0].name}/kept", node.outputs[0].type
            new.outputs[0].shape = ir.Shape([n if isinstance(n, int) else None for n in kept])
            node.prepend(new)
            replace(node.outputs[0], new.outputs[0])


def _without_zeros(target: list | None, source: ir.Value) -> list | None:
    own = sizes(source)
    return target and [own[i] if n == 0 and own and i < len(own) else n for i, n in enumerate(target)]


def idle_transposes(graph: ir.Graph) -> None:
    """A Transpose that only moves axes of one element is a Reshape."""
    for node in [node for node in graph if node.op_type == "Transpose" and node.inputs[0] is not None]:
        shape, perm = static(node.inputs[0]), attribute(node, "perm")  # type: ignore[arg-type]
        if shape is None or perm is None or (long := [axis for axis in perm if shape[axis] != 1]) != sorted(long):
            continue
        target = [0 if axis == i and shape[i] is None else shape[axis] for i, axis in enumerate(perm)]
        if target.count(None) > 1:
            continue
        target = [-1 if n is None else n for n in target]
        to = new_constant(graph, np.array(target, np.int64), f"{node.name}/shape")
        y = insert(node, "Reshape", [node.inputs[0], to], str(node.name), node.outputs[0].shape)
        replace(node.outputs[0], y)


def zero_states(graph: ir.Graph) -> None:
    """Leave out the initial state of a recurrent operator where it is zero: that is what none means."""
    for node in list(graph):
        if node.op_type not in ("GRU", "LSTM", "RNN"):
            continue
        for i in range(5, min(len(node.inputs), 7)):
            if _is_zero(node.inputs[i]):
                node.replace_input_with(i, None)


def _is_zero(value: ir.Value | None) -> bool:
    array = constant(value)
    if array is not None:
        return not array.any()
    node = value.producer() if value is not None else None
    if node is None:
        return False
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        return fill is None or not fill.as_tensor().numpy().any()
    if node.op_type == "Concat":
        return all(_is_zero(x) for x in node.inputs)
    return node.op_type in ("Cast", "Expand", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze") and _is_zero(
        node.inputs[0]
    )
