"""What a user gives as inputs: arrays, files and batches of these, and what is refused."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError
from keras_norms.export.model.signature import signature
from keras_norms.export.model.user_inputs import read_npz, user_cases
from models import two_in_two_out

ZETA, ALPHA = np.zeros((2, 8, 8, 4), "float32"), np.ones((2, 5), "float32")


@pytest.fixture(scope="module")
def one():
    x = keras.Input((4,), name="x")
    return signature(keras.Model(x, keras.layers.Dense(2)(x)))


@pytest.fixture(scope="module")
def two():
    return signature(two_in_two_out())


def test_two_inputs_come_in_order_or_by_name(two):
    for given in ([ZETA, ALPHA], (ZETA, ALPHA), {"alpha": ALPHA, "zeta": ZETA}, [[ZETA, ALPHA]]):
        ((name, arrays),) = user_cases(given, two)
        assert name == "given"
        assert [array.shape for array in arrays] == [ZETA.shape, ALPHA.shape]


def test_batches_are_numbered(one):
    x = np.zeros((2, 4))
    assert [name for name, _ in user_cases(iter([x, {"x": x}, [x]]), one)] == [
        "given",
        "given, batch 1",
        "given, batch 2",
    ]


def test_files_hold_named_arrays_or_unnamed_ones_in_order(two, tmp_path):
    np.savez(tmp_path / "named.npz", alpha=ALPHA, zeta=ZETA)
    np.savez(tmp_path / "unnamed.npz", ZETA, ALPHA)
    for name in ("named.npz", "unnamed.npz"):
        ((_, arrays),) = user_cases(tmp_path / name, two)
        assert [array.shape for array in arrays] == [ZETA.shape, ALPHA.shape]


BAD_FILES = {
    "missing": (lambda path: None, "There is no inputs file"),
    "damaged": (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is damaged, or no .npz file"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged, or no .npz file"),
    "bare": (lambda path: np.save(path.open("wb"), ZETA), "holds one bare array"),
    "pickled": (lambda path: np.savez(path, x=np.array([{}], dtype=object)), "holds pickled objects"),
    "another name": (lambda path: np.savez(path, y=ZETA), r"one array for each input of the model, 'x' .*holds 'y'"),
    "nothing": (lambda path: np.savez(path), "it holds nothing"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_of_no_use_are_refused(case, tmp_path):
    write, message = BAD_FILES[case]
    write(tmp_path / "x.npz")
    with pytest.raises(ExportError, match=message):
        read_npz(tmp_path / "x.npz", ["x"], "inputs")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "must be an array, a list or dict of arrays, an .npz file, or batches of these; got int"),
        ({"y": np.zeros((1, 4))}, r"must name the model's inputs \['x'\]; got \['y'\]"),
        (np.zeros((1, 5)), r"must have the shape \[None, 4\] .*got \[1, 5\]"),
        (np.zeros((1, 4), "complex64"), "must be float32, got complex64"),
        (np.zeros((0, 4)), "at least one example"),
        ([], "at least one example"),
    ],
)
def test_what_does_not_fit_is_refused(given, message, one):
    with pytest.raises(ExportError, match=message):
        user_cases(given, one)
