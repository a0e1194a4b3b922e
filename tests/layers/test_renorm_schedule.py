"""RenormSchedule: its values for numbers and for tensors, its errors, its config."""

import json

import keras
import numpy as np
import pytest

from keras_norms import RenormSchedule

VALUES = (
    (RenormSchedule(), 0, (1.0, 0.0)),
    (RenormSchedule(), 500, (1.0, 0.0)),
    (RenormSchedule(), 1500, (1.0 + 2.0 * 1000 / 3500, 5.0 * 1000 / 2000)),
    (RenormSchedule(), 2500, (1.0 + 2.0 * 2000 / 3500, 5.0)),
    (RenormSchedule(), 4000, (3.0, 5.0)),
    (RenormSchedule(), 10**9, (3.0, 5.0)),
    (RenormSchedule.paper(), 5_000, (1.0, 0.0)),
    (RenormSchedule.paper(), 15_000, (1.0 + 2.0 * 10 / 35, 2.5)),
    (RenormSchedule.paper(), 25_000, (1.0 + 2.0 * 20 / 35, 5.0)),
    (RenormSchedule.paper(), 40_000, (3.0, 5.0)),
    (RenormSchedule.constant(2.0, 1.0), 0, (2.0, 1.0)),
    (RenormSchedule.constant(2.0, 1.0), 7, (2.0, 1.0)),
    (RenormSchedule.for_training(800), 100, (1.0, 0.0)),
    (RenormSchedule.for_training(800), 500, (1.0 + 2.0 * 400 / 700, 5.0)),
    (RenormSchedule.for_training(800), 800, (3.0, 5.0)),
    (RenormSchedule.for_training(1), 1, (3.0, 5.0)),
    (RenormSchedule(3, 5, warmup_steps=10, r_max_steps=10, d_max_steps=10), 10, (1.0, 0.0)),
    (RenormSchedule(3, 5, warmup_steps=10, r_max_steps=10, d_max_steps=10), 11, (3.0, 5.0)),
)


@pytest.mark.parametrize(("schedule", "step", "expected"), VALUES, ids=str)
def test_values(schedule, step, expected):
    assert schedule(step) == pytest.approx(expected, abs=1e-12)
    assert all(type(v) is float for v in schedule(step))
    assert schedule(np.int64(step)) == schedule(step)
    traced = schedule(keras.ops.convert_to_tensor(min(step, 2**31 - 1), "int32"))
    np.testing.assert_allclose([float(v) for v in traced], expected, rtol=1e-6)


def test_the_paper_scaled_to_the_paper():
    assert RenormSchedule.for_training(40_000) == RenormSchedule.paper()


@pytest.mark.parametrize("schedule", [RenormSchedule(), RenormSchedule.constant(2, 1), RenormSchedule.paper()], ids=str)
def test_configuration(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    assert keras.saving.deserialize_keras_object(json.loads(json.dumps(config))) == schedule
    assert eval(repr(schedule)) == schedule


def test_numpy_scalars_become_plain_numbers():
    schedule = RenormSchedule(np.float32(2.5), np.float64(1), np.int64(1), np.int32(5), np.int8(4))
    assert json.loads(json.dumps(schedule.get_config())) == schedule.get_config()


ERRORS = (
    (
        {"r_max": 0.5},
        ValueError,
        r"`r_max` has to be a finite number of at least 1\. Received: r_max=0\.5\. 1 switches",
    ),
    ({"r_max": float("inf")}, ValueError, r"Received: r_max=inf"),
    ({"r_max": float("nan")}, ValueError, r"Received: r_max=nan"),
    ({"r_max": True}, ValueError, r"Received: r_max=True"),
    ({"r_max": "3"}, ValueError, r"Received: r_max='3'"),
    (
        {"d_max": -1.0},
        ValueError,
        r"`d_max` has to be a finite number of at least 0\. Received: d_max=-1\.0\. 0 switches",
    ),
    ({"warmup_steps": 1.5}, TypeError, r"`warmup_steps` has to be an integer\. Received: warmup_steps=1\.5\. Count"),
    ({"warmup_steps": -2}, ValueError, r"`warmup_steps` has to be at least -1\. Received: warmup_steps=-2\. Use -1"),
    (
        {"warmup_steps": 9, "r_max_steps": 8},
        ValueError,
        r"`r_max_steps` has to be at least `warmup_steps`\. Received: r_m",
    ),
    (
        {"warmup_steps": 9, "d_max_steps": 8},
        ValueError,
        r"`d_max_steps` has to be at least `warmup_steps`\. Received: d_m",
    ),
)


@pytest.mark.parametrize(("arguments", "error", "text"), ERRORS, ids=str)
def test_errors(arguments, error, text):
    with pytest.raises(error, match=text):
        RenormSchedule(**arguments)


@pytest.mark.parametrize("total", [0, -5])
def test_a_training_without_steps(total):
    with pytest.raises(ValueError, match=rf"`total_steps` has to be at least 1\. Received: total_steps={total}\."):
        RenormSchedule.for_training(total)
