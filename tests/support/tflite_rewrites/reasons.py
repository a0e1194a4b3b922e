"""What the log says of the operations that stay in each case that must not fire.

A case that is not here has no candidate: the rewrite does not ask why it should leave such an operation.
"""

from __future__ import annotations

_READ_OTHERWISE = "something other than one addition reads it, or it is an output"
_NOT_A_BIAS = "what is added to it is not one number for each channel"
_WINDOW = "its window along one axis is padded, does not part evenly, or is on a free size"
_NOT_SCALED = "not everything that reads it multiplies it by a constant with room for the number of terms"
_NORM = "its norm does not read it for a mean, squares and one product or difference alone"
_NO_NORM = "something other than a norm of this package reads it"
_NO_DIMENSION, _COMPUTED = "it inserts no dimension", "one of its inputs behind the first is computed"

REASONS: dict[tuple[str, str], set[str]] = {
    ("whole_biases", "not: one for each channel"): {"it has no bias of a single number"},
    ("fuse_conv3d_bias", "not: another value at each place"): {_NOT_A_BIAS},
    ("fuse_conv3d_bias", "not: the sum of channels of one value"): {_NOT_A_BIAS},
    ("fuse_conv3d_bias", "not: something else reads it"): {_READ_OTHERWISE},
    ("fuse_conv3d_bias", "not: it is an output"): {_READ_OTHERWISE},
    ("fuse_conv3d_bias", "not: it has an activation"): {"it has a bias or an activation already"},
    ("restore_fp32_scalars", "not: another operation"): {"the float32 file has no such operation"},
    ("stage_sums", "not: computed axes"): {"its axes are computed, or it is not in float32"},
    ("stage_sums", "not: a window that does not part"): {_WINDOW},
    ("stage_sums", "not: a padded window along one axis"): {_WINDOW},
    ("scale_sums", "not: a constant over it"): {_NOT_SCALED},
    ("scale_sums", "not: it is added"): {_NOT_SCALED},
    ("scale_sums", "not: something else reads it"): {_NOT_SCALED},
    ("scale_sums", "not: it is an output"): {"it is not in float32, or is an output"},
    ("scale_sums", "not: few terms"): {"it has at most 64 terms, or their number or its axes are not known"},
    ("int16x8", "not: a computed kernel"): {"its kernel is computed, or its input is not in float32"},
    ("equalizing", "not: something else reads it"): {_NO_NORM},
    ("equalizing", "not: the norm reads it twice for a product"): {_NORM},
    ("equalizing", "not: the norm reads it for a product before its own"): {_NORM},
    ("equalizing", "not: the norm reads it for a product beside its difference"): {_NORM},
    ("equalizing", "not: an activation between"): {
        "it is an output, has an activation, or its kernel or bias is computed"
    },
    ("equalizing", "not: no norm of this package"): {_NO_NORM},
    ("rounding", "not: groups"): {"it is a convolution in groups"},
    ("rounding", "not: a computed kernel"): {"its kernel is computed"},
    ("depthwise_rounding", "not: a computed kernel"): {"its kernel is computed"},
    ("dynamic_range", "not: one scale for all channels"): {
        "its kernel has not one scale for each channel of the output"
    },
    ("dynamic_range", "not: kernels in float"): {"its input is not in float32, or its kernel not in 8 bits"},
    ("lower_roll", "not: a computed shift"): {_NO_DIMENSION, _COMPUTED},  # x[0, 0, 0] gives the shift
    ("lower_slice", "not: a plain slice"): {_NO_DIMENSION},
    ("lower_slice", "not: a computed index"): {_NO_DIMENSION, _COMPUTED},  # x[0, 0, 0] gives the index
    ("lower_erf", "not: of float64"): {"it is not in float32"},
}
