"""ONNX's reference evaluator: the specification in Python, slow, and of no runtime's opinion."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ..protocol import Runner

_MOST_NODES, MOST_BYTES = 40, 40_000  # what it runs within a second or so
_LEFT_OUT = {"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}  # rounds in a way of its own
# Its LSTM and GRU know one direction and no batch of zero length; its Resize has no attribute of a later opset.
# Its OneHot takes the depth as a number only, and not in a list of one, as the specification has it too.
# Its group norm takes E[x^2] - E[x]^2, which is negative far from zero.
_LEFT_OUT |= {"GRU", "GroupNormalization", "LSTM", "Loop", "OneHot", "RNN", "Resize"}
# Its convolution writes a dilated kernel out with zeros, which make NaN of an infinity.
_OLDEST_OPSET = 15  # before, its batch norm spreads an infinity


class ReferenceRunner:
    """A small .onnx file in the reference evaluator; inputs and outputs as `like` has them."""

    def __init__(self, model: onnx.ModelProto, like: Runner) -> None:
        self._evaluator = ReferenceEvaluator(model)
        self.inputs, self.outputs = like.inputs, like.outputs

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values = self._evaluator.run(list(self.outputs), arrays)
        return dict(zip(self.outputs, values, strict=True))


def reference_runner(path: Path, like: Runner) -> ReferenceRunner | None:
    """None for a file that is too large for it, or holds what it does not compute as the runtimes do."""
    if path.stat().st_size > MOST_BYTES:
        return None
    model = onnx.load(path, load_external_data=False)
    nodes = model.graph.node
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)
    if model.opset_import[0].version < _OLDEST_OPSET:
        return None
    if external or len(nodes) > _MOST_NODES or any(map(_is_left_out, nodes)):
        return None
    sizes = [size or 1 for spec in like.inputs for size in spec.shape]
    return None if np.prod(sizes, dtype=float) > MOST_BYTES else ReferenceRunner(model, like)


def _is_left_out(node: onnx.NodeProto) -> bool:
    dilated = any(a.name == "dilations" and any(n > 1 for n in a.ints) for a in node.attribute)
    return node.op_type in _LEFT_OUT or bool(node.domain) or dilated
