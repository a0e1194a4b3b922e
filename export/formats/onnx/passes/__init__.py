"""What happens to the graph between tf2onnx and the file: `PASSES`, in order.

To add one: a file here with a function of a graph and `PassOptions`, a row below that says why it stands there, and in
tests/support/onnx_pass_cases.py a graph on which it fires and one on which it must not.
"""

from __future__ import annotations

from .bias_into_convolution import bias_into_convolution
from .clip_as_hard_sigmoid import clip_as_hard_sigmoid
from .conv1d_as_conv2d import conv1d_as_conv2d
from .dense_without_reshapes import dense_without_reshapes
from .drop_identities import drop_identities
from .drop_reshapes import drop_reshapes
from .drop_unit_height import drop_unit_height
from .drop_zero_states import drop_zero_states
from .einsum_as_matmul import einsum_as_matmul
from .erf_as_gelu import erf_as_gelu
from .fold_shapes import fold_shapes
from .fold_weights import fold_weights
from .free_sizes import forget_shapes, name_free_sizes
from .group_norm_op import write_group_norms
from .layout import settle_layout
from .lift_constants import lift_constants
from .loop_as_gru import loop_as_gru
from .mean_as_pool import mean_as_pool
from .min_as_clip import min_as_clip
from .norm_forms import choose_norm_forms
from .padding_into_convolution import padding_into_convolution
from .pass_types import Group, Pass
from .pixel_shuffle_op import insert_pixel_shuffles, write_pixel_shuffles
from .recurrent_transposes import join_directions, merge_transposes, reverse_as_direction
from .reduce_in_stages import reduce_in_stages
from .reduce_without_reshape import reduce_without_reshape
from .simplify_where import simplify_where
from .transpose_as_reshape import transpose_as_reshape
from .whole_resize_sizes import whole_resize_sizes

__all__ = ["PASSES"]

_C, _R, _L, _U = Group.CANONICALIZE, Group.RECOGNIZE, Group.LAYOUT, Group.CLEAN_UP

PASSES: tuple[Pass, ...] = (
    Pass("lift_constants", _C, lift_constants, "first: every later pass looks for constants among the initializers"),
    Pass("drop_identities", _C, drop_identities, "later passes look at the node that makes a value, not past it"),
    Pass("fold_weights", _C, fold_weights, "weights that were set aside come back transposed; rewrites ask for arrays"),
    Pass("name_free_sizes", _C, name_free_sizes, "before shapes are inferred, which carries names on", then_infer=True),
    Pass("einsum_as_matmul", _C, einsum_as_matmul, "its Reshapes are among those that the next passes take away"),
    Pass("dense_without_reshapes", _C, dense_without_reshapes, "before shapes are folded: it reads them as computed"),
    Pass("fold_shapes", _C, fold_shapes, "all that follows asks for constant targets of Reshapes"),
    Pass(
        "drop_unit_height",
        _C,
        drop_unit_height,
        "while each series stands between Unsqueeze and Squeeze",
    ),
    Pass("drop_reshapes", _C, drop_reshapes, "the passes before left Reshapes that change nothing"),
    Pass(
        "reduce_without_reshape",
        _C,
        reduce_without_reshape,
        "behind drop_reshapes: a Reshape between would hide the pair",
        then_clean=True,
        then_infer=True,
    ),
    Pass("simplify_where", _R, simplify_where, "asks for sizes, which are known now"),
    Pass("erf_as_gelu", _R, erf_as_gelu, "before the layout, in which GELU is one operation on each element"),
    Pass("min_as_clip", _R, min_as_clip, "before clip_as_hard_sigmoid, which asks for the Clip"),
    Pass("clip_as_hard_sigmoid", _R, clip_as_hard_sigmoid, "before the layout: one operation turns where four may not"),
    Pass("loop_as_gru", _R, loop_as_gru, "a loop hides its sizes from the passes behind it", repeat=True),
    Pass("drop_zero_states", _R, drop_zero_states, "behind loop_as_gru, whose states are zero as well"),
    Pass("reverse_as_direction", _R, reverse_as_direction, "asks for recurrent operators"),
    Pass("join_directions", _R, join_directions, "behind reverse_as_direction: the second direction is a reversed one"),
    Pass("choose_norm_forms", _R, choose_norm_forms, "inserts the group norms that the layout decides about"),
    Pass(
        "insert_pixel_shuffles",
        _L,
        insert_pixel_shuffles,
        "last before the layout: Reshapes and a Transpose that would hold it up are one node in it",
        then_clean=True,
    ),
    Pass("settle_layout", _L, settle_layout, "one cut through all that the passes before made flexible"),
    Pass("write_group_norms", _L, write_group_norms, "in the layout that was chosen"),
    Pass("write_pixel_shuffles", _L, write_pixel_shuffles, "in the layout that was chosen", then_clean=True),
    Pass("merge_transposes", _U, merge_transposes, "the layout puts transposes beside those of recurrent operators"),
    Pass("transpose_as_reshape", _U, transpose_as_reshape, "behind merge_transposes: a Reshape cannot be merged so"),
    Pass("drop_reshapes_again", _U, drop_reshapes, "transpose_as_reshape and the norms leave Reshapes in a row"),
    Pass("bias_into_convolution", _U, bias_into_convolution, "the layout took away what stood between the two"),
    Pass(
        "padding_into_convolution",
        _U,
        padding_into_convolution,
        "the layout took away what stood between the two",
        then_infer=True,
    ),
    Pass("conv1d_as_conv2d", _U, conv1d_as_conv2d, "behind biases and padding, which it would have to lift too"),
    Pass("mean_as_pool", _U, mean_as_pool, "asks for channels first; a pool could not be turned", then_clean=True),
    Pass("reduce_in_stages", _U, reduce_in_stages, "behind every pass that knows a mean by its one operation"),
    Pass("whole_resize_sizes", _U, whole_resize_sizes, "behind the layout, which permutes sizes that are constant"),
    Pass("forget_shapes", _U, forget_shapes, "last: no pass asks for shapes any more"),
)
