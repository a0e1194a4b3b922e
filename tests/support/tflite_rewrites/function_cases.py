"""Every rewrite of the functions of a SavedModel, on a function of one tensor."""

from __future__ import annotations

import tensorflow as tf
from keras_norms.export.formats.tflite.convert.lower_erf import by_tanh
from keras_norms.export.formats.tflite.convert.lower_roll import in_two
from keras_norms.export.formats.tflite.convert.lower_slice import apart

REWRITES = {"Roll": in_two, "StridedSlice": apart, "Erf": by_tanh, "Erfc": by_tanh}
ROUNDED = {"lower_erf": 1e-6}
HORNER = " ".join(["AddV2"] * 7 + ["Mul"] * 9)
FUNCTIONS = {
    ("lower_roll", "forwards"): (lambda x: tf.roll(x, 1, 1), "ConcatV2 StridedSlice StridedSlice"),
    ("lower_roll", "backwards, from the back"): (lambda x: tf.roll(x, -2, -1), "ConcatV2 StridedSlice StridedSlice"),
    ("lower_roll", "two axes"): (
        lambda x: tf.roll(x, (1, -1), (1, 2)),
        "ConcatV2 ConcatV2 StridedSlice StridedSlice StridedSlice StridedSlice",
    ),
    ("lower_roll", "not: a computed shift"): (lambda x: tf.roll(x, tf.cast(x[0, 0, 0], tf.int32), 1), None),
    ("lower_slice", "new axes"): (lambda x: x[:, None, None], "ExpandDims ExpandDims"),
    ("lower_slice", "behind an ellipsis"): (lambda x: x[..., None, 1:], "ExpandDims StridedSlice"),
    ("lower_slice", "on both sides"): (lambda x: x[:, None, ..., None], "ExpandDims ExpandDims"),
    ("lower_slice", "beside an index"): (lambda x: x[:, 1, None, ::2], "ExpandDims StridedSlice"),
    ("lower_slice", "not: a plain slice"): (lambda x: x[:, 1:], None),
    ("lower_slice", "not: a computed index"): (lambda x: x[:, None, tf.cast(x[0, 0, 0], tf.int32)], None),
    ("lower_erf", "erf"): (tf.math.erf, f"{HORNER} Tanh"),
    ("lower_erf", "erfc"): (tf.math.erfc, f"{HORNER} Neg Sub Tanh"),
    ("lower_erf", "not: of float64"): (lambda x: tf.math.erf(tf.cast(x, tf.float64)), None),
}
