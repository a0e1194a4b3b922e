"""Every rewrite of a float or half precision file."""

from __future__ import annotations

import numpy as np
import pytest
from keras_norms.export.formats.stages import Limits
from keras_norms.export.formats.tflite.convert.fuse_conv3d_bias import with_biases
from keras_norms.export.formats.tflite.convert.restore_fp32_scalars import whole_scalars
from keras_norms.export.formats.tflite.convert.scale_sums import as_means
from keras_norms.export.formats.tflite.convert.stage_sums import in_stages
from keras_norms.export.formats.tflite.convert.whole_biases import with_whole_biases
from tflite_files import Op, flatbuffer

from .case import RELU, SAME, VALID, Case, random

# --- fuse_conv3d_bias


def volume(bias=(2,), users=1, activation=0, outputs=("y",)):
    ops = [
        Op("CONV_3D", ["x", "w"], "c", (1, 2, 3, 3, 2), {"padding": VALID, "fusedActivationFunction": activation}),
        Op("ADD", ["c", "b"], "y", (1, 2, 3, 3, 2), {"fusedActivationFunction": RELU}),
        *[Op("NEG", ["c"], "z", (1, 2, 3, 3, 2))][: users - 1],
    ]
    given = {"w": random(2, 2, 2, 3, 2), "b": random(*bias, seed=1)}
    return flatbuffer({"x": (1, 3, 4, 4, 3)}, given, ops, [*outputs, *["z"][: users - 1]])


def volume_case(becomes=None, **options):
    return Case(volume(**options), with_biases, becomes, inputs={"x": random(1, 3, 4, 4, 3)})


# --- whole_biases


def transposed(bias):
    """A transposed convolution of three channels with these numbers as its bias."""
    options = {"padding": VALID, "strideH": 1, "strideW": 1}
    given = {"shape": np.array([1, 5, 5, 3], np.int32), "w": random(3, 2, 2, 2), "b": np.array(bias, np.float32)}
    ops = [Op("TRANSPOSE_CONV", ["shape", "w", "x", "b"], "y", (1, 5, 5, 3), options, 3)]
    return flatbuffer({"x": (1, 4, 4, 2)}, given, ops, ["y"])


def bias_case(bias, becomes=None):
    whole = transposed(bias * 3) if len(bias) == 1 else None
    inputs = {"x": random(1, 4, 4, 2)}
    return Case(transposed(bias), with_whole_biases, becomes, computes=whole, inputs=inputs)


# --- restore_fp32_scalars


def added(value, halved, kind="ADD"):
    """x + value, where `halved` by way of a float16 constant."""
    value = np.asarray(value, np.float32)
    unpacked = [Op("DEQUANTIZE", ["c"], "c/whole", value.shape)] if halved else []
    ops = [*unpacked, Op(kind, ["x", "c/whole" if halved else "c"], "y", (1, 4, 4, 4))]
    return flatbuffer({"x": (1, 4, 4, 4)}, {"c": value.astype(np.float16) if halved else value}, ops, ["y"])


def restored(of=None):
    return lambda halves: whole_scalars(halves, lambda: added(*of) if of else pytest.fail("not needed"))


# --- stage_sums: with limits of 6 numbers, for small tensors

SHORT = Limits(6, 6)


def reduction(kind="MEAN", x=(2, 4, 4, 3), axes=(1, 2), keep=False, computed=False):
    kept = [1 if i in axes else n for i, n in enumerate(x) if keep or i not in axes]
    ops = [Op("NEG", ["axes"], "minus", (len(axes),))] if computed else []
    ops += [Op(kind, ["x", "minus" if computed else "axes"], "y", tuple(kept), {"keepDims": keep})]
    numbers = [i - len(x) for i in axes]
    return flatbuffer({"x": x}, {"axes": np.array([-i if computed else i for i in numbers], np.int32)}, ops, ["y"])


def pool(x=(1, 6, 6, 2), size=(4, 4), stride=(2, 1), padding=VALID, y=(1, 2, 3, 2)):
    options = {"padding": padding, "fusedActivationFunction": RELU, "strideH": stride[0], "strideW": stride[1]}
    options |= {"filterHeight": size[0], "filterWidth": size[1]}
    return flatbuffer({"x": x}, {}, [Op("AVERAGE_POOL_2D", ["x"], "y", y, options)], ["y"])


def staged_case(file, becomes=None, x=(2, 4, 4, 3)):
    return Case(file, lambda content: in_stages(content, SHORT), becomes, inputs={"x": random(*x)})


# --- scale_sums


def totals(kind="MUL", factor=(1, 1), swap=False, also=False, size=9, output=False):
    """The sum over positions times, or divided by, a constant."""
    given = ["sum", "c"] if not swap else ["c", "sum"]
    ops = [
        Op("SUM", ["x", "axes"], "sum", (1, 4), {"keepDims": False}),
        Op(kind, given, "y", (1, factor[0] if kind == "FULLY_CONNECTED" else 4)),
        *([Op("NEG", ["sum"], "z", (1, 4))] if also else []),
    ]
    constants = {"axes": np.array([1, 2], np.int32), "c": random(*factor, seed=3)}
    outputs = ["y", *(["z"] if also else []), *(["sum"] if output else [])]
    return flatbuffer({"x": (1, size, size, 4)}, constants, ops, outputs)


def total_case(becomes=None, size=9, **options):
    changes = becomes is not None
    return Case(totals(size=size, **options), as_means, becomes, 1e-6, changes, {"x": random(1, size, size, 4)})


CONVERT_CASES = {
    ("whole_biases", "a single number"): bias_case([0.5], "TRANSPOSE_CONV"),
    ("whole_biases", "not: one for each channel"): bias_case([0.5, 0.1, 0.2]),
    ("fuse_conv3d_bias", "bias and activation"): volume_case("CONV_3D"),
    ("fuse_conv3d_bias", "a bias of more dimensions"): volume_case("CONV_3D", bias=(1, 1, 1, 1, 2)),
    ("fuse_conv3d_bias", "not: another value at each place"): volume_case(bias=(3, 3, 2)),
    ("fuse_conv3d_bias", "not: the sum of channels of one value"): volume_case(bias=(1,)),
    ("fuse_conv3d_bias", "not: something else reads it"): volume_case(users=2),
    ("fuse_conv3d_bias", "not: it is an output"): volume_case(outputs=("y", "c")),
    ("fuse_conv3d_bias", "not: it has an activation"): volume_case(activation=RELU),
    ("restore_fp32_scalars", "an epsilon"): Case(added(1e-3, True), restored((1e-3, False)), "ADD", 1e-3),
    ("restore_fp32_scalars", "not: an array"): Case(added([1e-3] * 4, True), restored()),
    ("restore_fp32_scalars", "not: another operation"): Case(added(1e-3, True), restored((1e-3, False, "MUL"))),
    ("restore_fp32_scalars", "not: whole already"): Case(added(1e-3, False), restored()),
    ("stage_sums", "axes apart"): staged_case(reduction(), "MEAN MEAN"),
    ("stage_sums", "axes apart, kept"): staged_case(reduction("SUM", keep=True), "SUM SUM"),
    ("stage_sums", "three axes"): staged_case(reduction(axes=(1, 2, 3)), "MEAN MEAN MEAN"),
    ("stage_sums", "one axis"): staged_case(reduction("SUM", (2, 8, 3), (1,)), "RESHAPE SUM SUM", x=(2, 8, 3)),
    ("stage_sums", "one axis without factors"): staged_case(
        reduction(x=(2, 13, 3), axes=(1,)), "PAD RESHAPE MEAN MUL MEAN", x=(2, 13, 3)
    ),
    ("stage_sums", "a sum without factors"): staged_case(
        reduction("SUM", x=(2, 13), axes=(1,)), "PAD RESHAPE SUM SUM", x=(2, 13)
    ),
    ("stage_sums", "an axis again"): staged_case(reduction(x=(1, 36, 5, 2)), "MEAN RESHAPE MEAN MEAN", x=(1, 36, 5, 2)),
    ("stage_sums", "a window"): staged_case(pool(), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 6, 6, 2)),
    ("stage_sums", "a window, padded"): staged_case(
        pool(padding=SAME, y=(1, 3, 6, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 6, 6, 2)
    ),
    ("stage_sums", "a window along one axis"): staged_case(
        pool((1, 17, 1, 2), (8, 1), (4, 1), y=(1, 3, 1, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 17, 1, 2)
    ),
    ("stage_sums", "a window over all of an axis"): staged_case(
        pool((1, 1, 9, 2), (1, 9), (1, 1), y=(1, 1, 1, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 1, 9, 2)
    ),
    ("stage_sums", "not: short"): staged_case(reduction(x=(2, 3, 2, 3))),
    ("stage_sums", "not: computed axes"): staged_case(reduction(computed=True)),
    ("stage_sums", "not: the largest number"): staged_case(reduction("REDUCE_MAX")),
    ("stage_sums", "not: a window that does not part"): staged_case(
        pool((1, 17, 1, 2), (7, 1), (3, 1), y=(1, 4, 1, 2)), x=(1, 17, 1, 2)
    ),
    ("stage_sums", "not: a padded window along one axis"): staged_case(
        pool((1, 17, 1, 2), (8, 1), (4, 1), SAME, y=(1, 5, 1, 2)), x=(1, 17, 1, 2)
    ),
    ("scale_sums", "times a constant"): total_case("MEAN MUL"),
    ("scale_sums", "a constant times it"): total_case("MEAN MUL", swap=True),
    ("scale_sums", "over a constant"): total_case("MEAN DIV", kind="DIV"),
    ("scale_sums", "a dense layer"): total_case("MEAN FULLY_CONNECTED", kind="FULLY_CONNECTED", factor=(3, 4)),
    ("scale_sums", "not: a constant over it"): total_case(kind="DIV", swap=True),
    ("scale_sums", "not: it is added"): total_case(kind="ADD"),
    ("scale_sums", "not: something else reads it"): total_case(also=True),
    ("scale_sums", "not: it is an output"): total_case(output=True),
    ("scale_sums", "not: few terms"): total_case(size=8),
}
