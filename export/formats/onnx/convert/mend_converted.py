"""What tf2onnx writes otherwise than ONNX's operators have it, mended in its own graph."""

from __future__ import annotations

from typing import Any

import numpy as np

_RESIZE_KNOWS_AXES = 18  # the opset


def mend_resizes(graph: Any) -> None:
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


def mend_transposed(graph: Any) -> None:
    """What a transposed convolution cuts off and adds, as TensorFlow does it.

    tf2onnx writes rows that it adds at the end as padding below zero, or the size of the result alone: of that ONNX
    cuts off more in front where the number is odd, if it is not told otherwise.
    """
    for node in (node for node in graph.get_nodes() if node.type == "ConvTranspose"):
        if node.get_attr_value("output_shape"):
            node.set_attr("auto_pad", "SAME_UPPER")
        pads = node.get_attr_value("pads") or []
        added = [-min(0, sum(pair)) for pair in zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)]
        if any(added):
            node.set_attr("pads", [0 if added[i % len(added)] else pad for i, pad in enumerate(pads)])
            node.set_attr("output_padding", added)


def mend_gemms(graph: Any) -> None:
    """alpha A B + beta C with a row of factors for alpha or beta: operators of their own, since Gemm's are numbers.

    tf2onnx takes constants of shape [1, n] for numbers: those of a batch norm behind a dense layer, for example.
    """
    for node in [node for node in graph.get_nodes() if node.type == "Gemm"]:
        alpha, beta = (node.get_attr_value(name) for name in ("alpha", "beta"))
        if not (isinstance(alpha, list) or isinstance(beta, list)):
            continue
        (a, b, c), known = node.input, {"shapes": [graph.get_shape(node.output[0])]}
        known["dtypes"] = [graph.get_dtype(node.output[0])]
        turned = {name: node.get_attr_value(name) or 0 for name in ("transA", "transB")}
        outputs, name = node.output, node.name
        graph.remove_node(name)
        # Where others take the product too, tf2onnx leaves it beside the Gemm.
        alike = (each for each in graph.get_nodes() if each.type == "MatMul" and list(each.input) == [a, b])
        same = None if any(turned.values()) else next(alike, None)
        product = (same or graph.make_node("Gemm", [a, b], attr=turned, **known)).output[0]
        parts = [_times(graph, alpha, product, f"{name}/alpha"), _times(graph, beta, c, f"{name}/beta")]
        graph.make_node("Add", parts, name=name, outputs=outputs, **known)


def _times(graph: Any, factors: Any, x: str, name: str) -> str:
    if factors is None:
        return x
    const = graph.make_const(name, np.array(factors, np.float32))
    product: str = graph.make_node("Mul", [x, const.output[0]]).output[0]
    return product
