"""Searches, bits, colors and small matrices as they are written into a file: the same numbers as Keras' own."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import core as backend_core
from keras.src.backend.tensorflow import image as backend_image
from keras.src.backend.tensorflow import linalg as backend_linalg
from keras.src.backend.tensorflow import math as backend_math
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from keras_norms.export.saved_model import (
    portable_bits,
    portable_colors,
    portable_infinities,
    portable_linalg,
    portable_search,
)

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def same(form, original, *arguments, close=1e-6, **named):
    expected, got = original(*arguments, **named), form(original)(*arguments, **named)
    for one, other in zip(keras.tree.flatten(got), keras.tree.flatten(expected), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=close, atol=close)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_among_the_largest(k):
    predictions = drawn(6, 8)
    predictions[1, 2] = predictions[1, 5]  # a tie counts for both
    predictions[2, 3] = np.inf
    same(portable_search.in_top_k, backend_math.in_top_k, np.array([1, 5, 3, 0, 9, -1]), predictions, k)


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_in_a_sequence(side):
    x = np.append(drawn(3, 5).ravel(), [-1.0, 0.0, 1.0]).astype(np.float32)
    sequence = ops.convert_to_tensor(np.array([-1.0, 0.0, 1.0], np.float32))
    same(portable_search.searchsorted, backend_numpy.searchsorted, sequence, ops.convert_to_tensor(x), side=side)


def test_places_that_are_not_zero_and_products_so_far():
    same(portable_search.nonzero, backend_numpy.nonzero, drawn(3, 4) > 0)
    for axis in (0, -1):
        same(portable_search.cumprod, backend_numpy.cumprod, drawn(3, 5), axis)


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 9])
def test_one_of_several_branches(index):
    branches = [lambda x, i=i: x * i for i in (2, 3, 5)]
    same(portable_search.switch, backend_core.switch, index, branches, ops.convert_to_tensor(drawn(4)))


NONE = [np.inf, -np.inf, np.nan]
INFINITIES = ("isinf", "isposinf", "isneginf", "isfinite")


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
@pytest.mark.parametrize("name", INFINITIES)
def test_infinities(name, dtype):
    numbers = [0.0, 1.0, -2.0, 6e4] + ([] if dtype == "int32" else NONE)
    same(getattr(portable_infinities, name), getattr(backend_numpy, name), ops.convert_to_tensor(numbers, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
@pytest.mark.parametrize("named", [{}, {"nan": 1.5, "posinf": 9.0, "neginf": -7.0}], ids=["defaults", "given"])
def test_numbers_for_what_is_none(named, dtype):
    numbers = ops.convert_to_tensor([0.0, 1.0, -2.0, 6e4] + ([] if dtype == "int32" else NONE), dtype)
    same(portable_infinities.nan_to_num, backend_numpy.nan_to_num, numbers, **named)


@pytest.mark.runtime
def test_infinities_become_numbers_in_tflite(tmp_path):
    x = keras.Input((7,))
    EXPORTS[".tflite"](keras.Model(x, ops.nan_to_num(x, posinf=9.0, neginf=-7.0)), tmp_path / "m.tflite")
    runner = TFLiteRunner(tmp_path / "m.tflite")
    given = np.array([[0.0, 1.0, -2.0, 6e4, *NONE]], np.float32)
    found = next(iter(runner.run({runner.inputs[0].name: given}).values()))
    np.testing.assert_array_equal(found, [[0.0, 1.0, -2.0, 6e4, 9.0, -7.0, 0.0]])


@pytest.mark.runtime
def test_in_8_bits_the_comparisons_stay_in_float(tmp_path):
    x = keras.Input((10, 8))
    given = np.random.default_rng(0).normal(size=(32, 10, 8)).astype(np.float32)
    model = keras.Model(x, {"sums": ops.nancumsum(x, axis=1), "same": ops.nan_to_num(x)})
    report = EXPORTS[".tflite"](model, tmp_path / "m.tflite", batch_size=1, quantize="int8", calibration=given)
    assert min(output.sqnr_db for output in report.verification.outputs.values()) > 38


@pytest.mark.runtime
def test_infinities_are_found_in_tflite(tmp_path):
    """Of quotients LiteRT's own kernels make the largest number, XNNPACK infinity."""
    x = keras.Input((6,))
    quotients = {name: (-1.0 if name == "isneginf" else 1.0) / ops.relu(x) for name in INFINITIES}
    tests = [getattr(ops, name)(found) for name, found in quotients.items()] + [ops.isneginf(ops.log(ops.relu(x)))]
    assert EXPORTS[".tflite"](keras.Model(x, tests), tmp_path / "m.tflite").verification.relative == 0


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_left_shift"])
def test_bits(name):
    edges = np.array([0, 1, -1, 2**31 - 1, -(2**31), 65535, -65536, 12345], np.int32)
    x, y = (np.append(edges[::step], np.random.default_rng(1).integers(-(2**31), 2**31 - 1, 50)) for step in (1, -1))
    y = y % 31 if "shift" in name else y
    same(getattr(portable_bits, name), getattr(backend_numpy, name), x.astype(np.int32), y.astype(np.int32))


def test_all_bits_turned():
    same(portable_bits.bitwise_invert, backend_numpy.bitwise_invert, np.array([0, -1, 7, -(2**31)], np.int32))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_colors(layout):
    colors = np.random.default_rng(0).random((2, 5, 6, 3)).astype(np.float32)
    colors[0, :2] = [[0.5] * 3, [0.0] * 3, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0] * 3]
    x = colors if layout == "channels_last" else colors.transpose(0, 3, 1, 2)
    same(portable_colors.rgb_to_hsv, backend_image.rgb_to_hsv, x, layout, close=2e-6)
    same(portable_colors.hsv_to_rgb, backend_image.hsv_to_rgb, x, layout, close=2e-6)


def positive(n):
    x = drawn(3, n, n).astype(np.float64)
    return ops.convert_to_tensor((x @ x.transpose(0, 2, 1) + np.eye(n)).astype(np.float32))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_small_matrices(n):
    a, b, odd = positive(n), ops.convert_to_tensor(drawn(3, n, 2)), ops.convert_to_tensor(drawn(3, n, n))
    for upper in (False, True):
        same(portable_linalg.cholesky, backend_linalg.cholesky, a, upper, close=1e-5)
        factor = backend_linalg.cholesky(a, upper)
        same(portable_linalg.cholesky_inverse, backend_linalg.cholesky_inverse, factor, upper, close=1e-4)
        same(portable_linalg.solve_triangular, backend_linalg.solve_triangular, factor, b, not upper, close=1e-4)
    same(portable_linalg.logdet, backend_math.logdet, a, close=1e-5)
    for name in ("inv", "det"):
        same(getattr(portable_linalg, name), getattr(backend_linalg, name), odd, close=1e-4)
    same(portable_linalg.solve, backend_linalg.solve, odd, b, close=1e-4)
    same(portable_linalg.slogdet, backend_numpy.slogdet, odd, close=1e-4)


def test_a_pivot_of_zero():
    a = np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 0.0], [3.0, 0.0, 1.0]], np.float32)
    np.testing.assert_allclose(portable_linalg.inv(None)(a), np.linalg.inv(a), atol=1e-6)
    np.testing.assert_allclose(portable_linalg.det(None)(a), np.linalg.det(a), rtol=1e-6)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_form_is_written(suffix, tmp_path):
    x, ids, image = keras.Input((4, 4), name="x"), keras.Input((4,), dtype="int32", name="ids"), keras.Input((4, 4, 3))
    near = ops.tanh(x)
    small, matrix = ops.mod(ids, 4), ops.matmul(near, ops.transpose(near, (0, 2, 1))) + np.eye(4, dtype=np.float32)
    between = ops.sigmoid(image)
    outputs = {
        "below": ops.searchsorted(np.array([-1.0, 0.0, 1.0], np.float32), ops.reshape(x, (-1,))),
        "product": ops.cumprod(x, axis=1),
        "and": ops.bitwise_and(ids, 12 * small),
        "or": ops.bitwise_or(ids, 12 * small),
        "not": ops.bitwise_not(ids),
        "shift": ops.left_shift(small, small),
        "hue": ops.image.rgb_to_hsv(between),
        "rgb": ops.image.hsv_to_rgb(between),
        "branch": ops.switch(ops.argmax(x[0, 0]), [lambda t, i=i: t * i for i in (1, 2, 3, 4)], x),
        "factor": ops.cholesky(matrix),
        "inverse": ops.inv(matrix),
        "determinant": ops.det(matrix),
        "solved": ops.solve(matrix, x),
    }
    model = keras.Model([x, ids, image], outputs)
    assert EXPORTS[suffix](model, tmp_path / f"m{suffix}", batch_size=1).verification.ok
