"""A refusal names a layer that the user knows: no nested model, no part of a layer of Keras, no operation's path."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, VerificationError
from keras_norms.export.report.check import Check
from keras_norms.export.report.verify_report import VerifyReport
from keras_norms.export.verification.diagnosis.match_tensors import _first_wrong, _Ruler
from keras_norms.export.verification.diagnosis.name_in_error import layer_named
from keras_norms.export.verification.recording import recording

L = keras.layers
EXACT = _Ruler(80.0, False)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    a = keras.Input((4, 3))
    inner = keras.Model(a, L.TimeDistributed(L.Dense(3, name="each"), name="over_time")(a), name="inner")
    x = keras.Input((4, 3))
    y = L.GRU(2, name="gru")(keras.ops.minimum(inner(L.ReLU(name="start")(x)), 0.5))
    return keras.Model(x, keras.Model(y, L.Dense(2, name="last")(y), name="head")(y), name="net")


@pytest.fixture(scope="module")
def calls(model):
    with recording(model) as found:
        model(np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32"))
    return found


def test_parts_have_the_name_of_the_layer_and_do_not_count_as_one(calls):
    assert [call.layer for call in calls if call.whole] == ["start", "over_time", "gru", "last"]
    assert {call.layer for call in calls if not call.whole} == {"over_time", "gru", "inner", "head"}


def test_where_every_layer_is_found_it_is_the_last_and_not_the_model(calls):
    everything = [y for call in calls for y in call.outputs]
    assert _first_wrong(calls, everything, EXACT)[0] == "last"


@pytest.mark.parametrize(("found", "first"), [((), "start"), (("start",), "over_time"), (("over_time",), "gru")])
def test_the_first_that_is_not_found_is_named(calls, found, first):
    values = [y for call in calls for y in call.outputs if call.layer in found and call.whole]
    assert _first_wrong(calls, values, EXACT)[0] == first


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("net_1/inner_1/over_time_1/each_1/MatMul", "over_time"),
        ("net_1/gru_1/while/gru_cell_1/add", "gru"),
        ("net_1/minimum_1/Minimum", "minimum"),
        ("net_1/head_1/last_1/BiasAdd", "last"),
    ],
)
def test_the_operation_that_a_runtime_names_is_told_as_its_layer(model, path, layer):
    with (
        pytest.raises(VerificationError, match=rf"Name:'{path}' /src/core/min\.h:563 \(in '{layer}"),
        layer_named(model),
    ):
        raise VerificationError(f"'m.onnx' does not run: Name:'{path}' /src/core/min.h:563")


def test_a_file_that_a_runtime_does_not_open_is_told_with_the_layer(model):
    with pytest.raises(ExportError, match=r"cannot run: Node:net_1/gru_1/add \(in 'gru'\)"), layer_named(model):
        raise ExportError("cannot run: Node:net_1/gru_1/add")


def test_what_names_no_layer_stays_as_it_is(model):
    with pytest.raises(VerificationError, match=r"^no memory in net_1/x$"), layer_named(model):
        raise VerificationError("no memory in net_1/x")


def test_a_layer_that_is_not_found_is_said_to_be_so():
    check = Check("zeros", "LiteRT", "y", 1.0, 1.0, 1.0, 0.0, 1e-4, None, False)
    report = VerifyReport("m", 1e-4, (check,))
    assert report.failure().endswith("1e-04 is allowed. Which layer diverges could not be found out.")
