"""Whether a kept file belongs to its model of today, by a certificate that is made up: nothing is converted."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras_norms.export.artifact.hashes import array_records, config_sha256, model_sha256, versions, weights_sha256
from keras_norms.export.artifact.metadata_keys import MODEL, VERSIONS
from keras_norms.export.check.outdated import why_outdated, why_outdated_by_metadata
from keras_norms.export.errors import ExportError
from keras_norms.export.verification.certificate import Certificate

TASK = {
    "name": "phone",
    "suffix": ".tflite",
    "quantize": "int8",
    "labels": ["cat", "dog"],
    "batch_size": None,
    "fold": True,
    "tolerance": None,
    "io_dtype": None,
    "target": None,
    "allow_flex": False,
}


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="logits")], name="net")


@pytest.fixture
def task(tmp_path):
    np.savez(tmp_path / "typical.npz", np.ones((4, 3), "float32"))
    return {**TASK, "calibration": str(tmp_path / "typical.npz")}


def certificate(model, **options):
    made_with = {
        "batch_size": None,
        "fold": True,
        "tolerance": 1e-3,
        "quantize": "int8",
        "io_dtype": None,
        "target": None,
        "allow_flex": False,
        "calibration": array_records([np.ones((4, 3), "float32")]),
        "labels": {"logits": ["cat", "dog"]},
    }
    data = {
        "model": {"weights_sha256": weights_sha256(model), "config_sha256": config_sha256(model)},
        "versions": versions(),
        "options": made_with | options,
    }
    return Certificate(Path("a.tflite.json"), data)


def test_the_same_model_options_and_data_are_not_outdated(model, task):
    assert why_outdated(certificate(model), model, task) is None


def test_other_weights_are(model, task):
    made = certificate(model)
    model.layers[0].bias.assign([1.0, 2.0])
    assert why_outdated(made, model, task) == "it was exported from other weights than the model has now"


def test_another_architecture_is_unless_another_keras_wrote_it_down(model, task):
    made = certificate(model)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "relu", name="logits")], name="net")
    other.set_weights(model.get_weights())
    assert why_outdated(made, other, task) == "it was exported from another architecture than the model has now"
    made.data["versions"] = {**versions(), "keras": "3.0.0"}
    assert why_outdated(made, other, task) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"quantize": "int16x8"}, "it was exported with quantize int16x8; the policy asks for int8"),
        ({"batch_size": 1}, "it was exported with batch-size 1; the policy asks for none"),
        ({"fold": False}, "it was exported with fold false; the policy asks for true"),
        ({"calibration": []}, "it was exported with other calibration data than the file holds now"),
        ({"labels": None}, "it was exported with other labels"),
    ],
)
def test_other_options_are(model, task, options, told):
    assert why_outdated(certificate(model, **options), model, task) == told


def test_calibration_that_the_policy_has_no_more_is(model, task):
    told = "it was exported with calibration data; the policy gives none"
    assert why_outdated(certificate(model), model, {**task, "calibration": None}) == told


def test_a_damaged_certificate_is_an_error(model, task):
    with pytest.raises(ExportError, match="is damaged: it lacks 'options'"):
        why_outdated(Certificate(Path("a.json"), {"model": {}}), model, task)


def test_the_metadata_decide_where_there_is_no_certificate(model):
    mine = {MODEL: model_sha256(model), VERSIONS: "{}"}
    assert why_outdated_by_metadata(mine, model) is None
    assert why_outdated_by_metadata({}, model) is None  # another tool's file
    other = {MODEL: "0", VERSIONS: f'{{"keras": "{versions()["keras"]}"}}'}
    assert why_outdated_by_metadata(other, model) == "it was exported from another state of the model than it has now"
    assert why_outdated_by_metadata({**other, VERSIONS: '{"keras": "3.0.0"}'}, model) is None
