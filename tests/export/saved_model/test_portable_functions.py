"""Functions as they are written into a file, in float32 against float64."""

import keras
import numpy as np
import pytest
import scipy.special
from exports import EXPORTS
from keras import ops

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

BOTH = np.concatenate([[0.0], *(sign * np.geomspace(1e-30, 0.9999, 500) for sign in (1, -1))])
FAR = np.concatenate([BOTH, *(sign * np.geomspace(1.0, 1e37, 300) for sign in (1, -1))])
ANGLES = {
    "arctan": FAR,
    "arcsin": np.append(BOTH, [-1.0, 1.0]),
    "arccos": np.append(BOTH, [-1.0, 1.0]),
    "tan": np.linspace(-1.5, 1.5, 401),
    "sinh": np.concatenate([BOTH, np.linspace(-89.0, 89.0, 400), [-100.0, 100.0]]),
    "cosh": np.concatenate([BOTH, np.linspace(-89.0, 89.0, 400), [-100.0, 100.0]]),
    "arcsinh": FAR,
    "arccosh": 1.0 + np.concatenate([[0.0], np.geomspace(1e-6, 1e37, 500)]),
    "arctanh": np.append(BOTH, [-1.0, 1.0]),
}
SPECIAL = {
    "erfinv": (np.append(BOTH, [-1.0, 1.0]), scipy.special.erfinv),
    "i0": (np.concatenate([BOTH, np.linspace(-80.0, 80.0, 800)]), scipy.special.i0),
    "signbit": (np.array([0.0, -0.0, 1e-40, -3.0, 5.0, np.inf, -np.inf]), np.signbit),
}


@pytest.mark.parametrize("name", ANGLES)
def test_each_number_is_right_to_a_few_rounding_steps(name):
    from keras_norms.export.saved_model import portable_angles

    x = ANGLES[name].astype("float32")
    with np.errstate(over="ignore", divide="ignore"):
        exact = getattr(np, name)(x.astype("float64")).astype("float32")
    got = getattr(portable_angles, name)(x).numpy()
    np.testing.assert_allclose(got, exact, rtol=16 * 2.0**-23, atol=2.0**-24 if name == "arccos" else 0)


@pytest.mark.parametrize("name", SPECIAL)
def test_what_neither_format_has(name):
    from keras_norms.export.saved_model import portable_special

    x, exact = SPECIAL[name]
    got = getattr(portable_special, name)(x.astype("float32")).numpy()
    np.testing.assert_allclose(got, exact(x.astype("float32").astype("float64")), rtol=2e-6)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_function_is_written(suffix, tmp_path):
    x = keras.Input((6,), name="x")
    between, above = ops.tanh(x), 1.0 + ops.square(x)
    narrow = ("arcsin", "arccos", "arctanh", "erfinv")
    outputs = {name: getattr(ops, name)(between if name in narrow else x) for name in (*ANGLES, *SPECIAL)}
    outputs["arccosh"] = ops.arccosh(above)
    report = EXPORTS[suffix](keras.Model(x, outputs), tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
