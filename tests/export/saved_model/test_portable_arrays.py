"""Operations on arrays as they are written into a file: the same numbers as Keras' own."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import core as backend_core
from keras.src.backend.tensorflow import nn as backend_nn
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras_norms.export.saved_model import portable_arrays

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

L = keras.layers


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def same(form, original, *arguments, **named):
    expected, got = original(*arguments, **named), form(original)(*arguments, **named)
    for one, other in zip(keras.tree.flatten(got), keras.tree.flatten(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("offset", [-2, 0, 1, 4])
def test_diagonals(offset):
    same(portable_arrays.diagonal, backend_numpy.diagonal, drawn(3, 4, 6), offset, 1, 2)
    same(portable_arrays.diagonal, backend_numpy.diagonal, drawn(5, 3, 6), offset, 0, 2)
    same(portable_arrays.diag, backend_numpy.diag, drawn(5), offset)


def test_a_diagonal_matrix_has_no_nan_beside_an_infinity():
    got = portable_arrays.diag(backend_numpy.diag)(np.array([np.inf, 1.0], np.float32))
    np.testing.assert_array_equal(got, [[np.inf, 0.0], [0.0, 1.0]])


def test_cross_products():
    same(portable_arrays.cross, backend_numpy.cross, drawn(4, 3), drawn(5, 4, 3)[1])
    same(portable_arrays.cross, backend_numpy.cross, drawn(3, 4, 5), drawn(2, 3, 4, 5)[1], axis=0)
    same(portable_arrays.cross, backend_numpy.cross, drawn(4, 2), drawn(4, 3))


SUMS = ["bij,bij->b", "bij,bji->b", "bij,bij->jb", "bij,bjk->bik", "bij,bij->bij", "ij,ij->"]


@pytest.mark.parametrize("subscripts", SUMS)
def test_sums_of_products(subscripts):
    sizes = dict(zip("bijk", (2, 3, 3, 4), strict=True))
    x, y = (drawn(*(sizes[letter] for letter in term)) for term in subscripts.partition("->")[0].split(","))
    same(portable_arrays.einsum, backend_numpy.einsum, subscripts, x, y)


@pytest.mark.parametrize("subscripts", ["bii->bi", "bii->ib", "iib->bi", "bii->b"])
def test_repeated_letters(subscripts):
    x = drawn(3, 3, 4) if subscripts.startswith("ii") else drawn(4, 3, 3)
    same(portable_arrays.einsum, backend_numpy.einsum, subscripts, x)


@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize("axis", [0, -1])
def test_numbers_equally_far_apart(endpoint, axis):
    start, stop = (ops.convert_to_tensor(x) for x in (drawn(2, 3), drawn(4, 2, 3)[1]))
    same(portable_arrays.linspace, backend_numpy.linspace, start, stop, 5, endpoint, axis=axis)


def test_updates_of_slices():
    for start in ((0, 2, 1), (1, 0, 0), (1, 9, 9)):  # the last is moved to where it fits
        same(portable_arrays.slice_update, backend_core.slice_update, drawn(2, 6, 5), start, 9 * drawn(1, 4, 3))


@pytest.mark.parametrize(
    ("size", "dilation", "padding", "stride"), [(2, 1, 0, 1), (3, 1, 1, 2), ((2, 3), 2, (1, 2), 1)]
)
def test_windows(size, dilation, padding, stride):
    same(portable_arrays.unfold, backend_nn.unfold, drawn(2, 3, 7, 8), size, dilation, padding, stride)


@pytest.mark.parametrize("reverse", [False, True])
def test_loops_of_a_known_length(reverse):
    def step(carry, x):
        return carry + x, carry * x

    same(portable_arrays.scan, backend_core.scan, step, drawn(3), drawn(5, 3), reverse=reverse)
    same(portable_arrays.scan, backend_core.scan, lambda c, _: (c * 2, c), drawn(3), length=4)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_associative_loops(axis, reverse):
    same(portable_arrays.associative_scan, backend_core.associative_scan, ops.add, drawn(5, 4, 3), reverse, axis)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_form_is_written(suffix, tmp_path):
    x, ids = keras.Input((6, 6), name="x"), keras.Input((4,), dtype="int32", name="ids")
    bounded = ops.mod(ids, 7) - 3
    outputs = {
        "diagonal": ops.diagonal(x, offset=1, axis1=1, axis2=2),
        "cross": ops.cross(x[..., :3], x[..., 3:]),
        "linspace": ops.linspace(x, 3.0 * x, 4),
        "update": ops.slice_update(x, (0, 1, 2), np.ones((1, 2, 3), np.float32)),
        "windows": ops.unfold(ops.reshape(x, (-1, 1, 6, 6)), 2),
        "squares": ops.einsum("bij,bij->b", x, x + 1.0),
        "traced": ops.einsum("bii->bi", x),
        "count": L.CategoryEncoding(7, output_mode="count")(bounded + 3),
        "rest": ops.mod(bounded, 2),
        "below": ops.floor_divide(bounded, 2),
        "lookup": L.IntegerLookup(vocabulary=[-2, 1, 3], mask_token=0)(bounded),
        "table": L.IntegerLookup(vocabulary=list(range(0, 900, 3)))(ids),
        "back": L.IntegerLookup(vocabulary=[2, 3, 5], invert=True)(ops.cast(bounded + 3, "int64")),
        "so_far": ops.associative_scan(ops.maximum, x, axis=1, reverse=True),
        "hot": L.IntegerLookup(vocabulary=[1, 2], num_oov_indices=2, output_mode="multi_hot")(bounded),
    }
    model = keras.Model([x, ids], outputs)
    assert EXPORTS[suffix](model, tmp_path / f"m{suffix}", batch_size=1).verification.ok


@pytest.mark.runtime
def test_a_loop_is_written_without_one(tmp_path):
    x = keras.Input((5, 3), name="x")
    carry, steps = ops.scan(lambda c, t: (c + t, c * t), ops.zeros_like(x[:, 0]), ops.swapaxes(x, 0, 1))
    report = EXPORTS[".onnx"](keras.Model(x, [carry, ops.swapaxes(steps, 0, 1)]), tmp_path / "m.onnx")
    assert "Loop" not in report.ops
