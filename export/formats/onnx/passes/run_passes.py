"""All that happens to the graph between tf2onnx and the file, in order."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from .conv1d_as_conv2d import series_as_images
from .drop_unit_height import series_without_height
from .einsum_as_matmul import einsum_as_matmul
from .group_norm_op import write_groups
from .layout import settle_layout
from .loop_as_gru import loop_as_gru
from .norm_forms import choose_forms
from .pixel_shuffle_op import insert_regroups, write_regroups
from .recurrent_transposes import both_directions, fewer_transposes, run_backwards
from .simplify_where import leaner_choices
from .small_rewrites import (
    average_pool,
    bias_into_convolution,
    dense_without_reshapes,
    drop_identities,
    fold_weights,
    gelu,
    hard_sigmoid,
    idle_transposes,
    padding_into_convolution,
    reduce_without_reshape,
    relu6,
    zero_states,
)
from .symbolic_shapes import drop_reshapes, fold_shapes, shapes_of_branches
from .tidy_names import forget_shapes, name_free_sizes


def optimize(
    model: ir.Model,
    *,
    channels_first_io: bool,
    channels_first_model: bool,
    standard_norms: bool,
    layer_norm: bool,
    norms_in_either_layout: bool,
) -> list[str]:
    """Rewrite `model` in place; returns the names of inputs and outputs that are channels first now."""
    graph = model.graph
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    drop_identities(graph)
    fold_weights(graph)
    name_free_sizes(model)
    _infer(model)
    einsum_as_matmul(graph)
    dense_without_reshapes(graph)
    fold_shapes(model)
    series_without_height(graph)
    drop_reshapes(graph)
    reduce_without_reshape(graph)
    _clean(model)
    _infer(model)
    leaner_choices(graph)
    gelu(graph)
    relu6(graph)
    hard_sigmoid(graph)
    while loop_as_gru(graph):
        _clean(model)
        _infer(model)
    zero_states(graph)
    run_backwards(graph)
    both_directions(graph)
    choose_forms(model, standard_norms, layer_norm, norms_in_either_layout)
    insert_regroups(graph)
    _clean(model)
    turned = settle_layout(model, channels_first_io, channels_first_model)
    write_groups(graph)
    write_regroups(graph)
    _clean(model)
    fewer_transposes(graph)
    idle_transposes(graph)
    drop_reshapes(graph)
    bias_into_convolution(graph)
    padding_into_convolution(graph)
    _infer(model)
    series_as_images(graph)
    average_pool(graph)
    _clean(model)
    forget_shapes(model)
    return turned


def _clean(model: ir.Model) -> None:
    """Remove what nothing uses, and what was used by nothing but the inside of a removed loop."""
    bodies = [(n, a.value) for n in model.graph for a in n.attributes.values() if a.type == ir.AttributeType.GRAPH]
    common.RemoveUnusedNodesPass()(model)
    gone = [body for node, body in bodies if node.graph is None]
    for node in [node for body in gone for node in body.all_nodes()]:
        for i in range(len(node.inputs)):
            node.replace_input_with(i, None)
    if gone:
        common.RemoveUnusedNodesPass()(model)


def _infer(model: ir.Model) -> None:
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
    if shapes_of_branches(model.graph):
        common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
