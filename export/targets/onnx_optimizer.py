"""All that happens to the graph between tf2onnx and the file, in order."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from .onnx_einsum import einsum_as_matmul
from .onnx_graph import forget_shapes, name_free_sizes
from .onnx_layout import settle_layout
from .onnx_norms import choose_forms
from .onnx_rules import bias_into_convolution, dense_without_reshapes, gelu, relu6, zero_states
from .onnx_series import series_without_height
from .onnx_shapes import drop_reshapes, fold_shapes


def optimize(model: ir.Model, *, channels_first_io: bool, standard_norms: bool, layer_norm: bool) -> None:
    """Rewrite `model` in place."""
    graph = model.graph
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.IdentityEliminationPass()(model)
    name_free_sizes(model)
    _infer(model)
    einsum_as_matmul(graph)
    series_without_height(graph)
    dense_without_reshapes(graph)
    fold_shapes(model)
    drop_reshapes(graph)
    _clean(model)
    _infer(model)
    gelu(graph)
    relu6(graph)
    zero_states(graph)
    choose_forms(model, standard_norms, layer_norm)
    _clean(model)
    settle_layout(model, channels_first_io)
    _clean(model)
    bias_into_convolution(graph)
    _clean(model)
    forget_shapes(model)


def _clean(model: ir.Model) -> None:
    common.RemoveUnusedNodesPass()(model)


def _infer(model: ir.Model) -> None:
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
