"""norm_statistics and RenormMonitor: every figure against NumPy, and what the logs get."""

import csv

import keras
import numpy as np
import pytest
from keras import layers

import keras_norms as kn
from keras_norms.callbacks import RenormMonitor

RNG = np.random.default_rng(7)
X = (RNG.normal(0.0, 1.0, (12, 5, 4)) * [1.0, 2.0, 1e-3, 4.0] + [0.0, 3.0, 0.0, -1.0]).astype("float32")


def one(norm, shape=(5, 4)):
    return keras.Sequential([keras.Input(shape), norm])


def only(norm, x=X, **arguments):
    (found,) = kn.norm_statistics(one(norm, x.shape[1:]), x, **arguments).norms
    return found


@pytest.mark.parametrize("cls", [kn.BatchNormalization, layers.BatchNormalization])
def test_a_batch_norm(cls):
    norm = cls(name="norm")
    model = one(norm)
    norm.gamma.assign([1.0, 0.0, -1.0, 5e-4])
    norm.moving_mean.assign([0.0, 1.0, 0.0, 0.0])
    norm.moving_variance.assign([1.0, 4.0, 1.0, 1.0])
    (found,) = kn.norm_statistics(model, X, batch_size=4).norms
    x, sigma = X.astype("float64").reshape(-1, 4), np.sqrt([1.001, 4.001, 1.001, 1.001])
    mean_off = (x.mean(axis=0) - [0.0, 1.0, 0.0, 0.0]) / sigma
    np.testing.assert_allclose(found.by_channel.mean_off, mean_off, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.mean_off, np.abs(mean_off).max(), rtol=1e-6)
    np.testing.assert_allclose(found.by_channel.deviation, np.sqrt(x.var(axis=0) + 1e-3) / sigma, rtol=1e-6)
    batches = x.reshape(3, -1, 4).mean(axis=1)
    expected = np.sqrt((((batches - [0.0, 1.0, 0.0, 0.0]) / sigma) ** 2).mean())
    np.testing.assert_allclose(found.batch_mean_off, expected, rtol=1e-6)
    assert (found.norm, found.channels, found.dead_gamma, found.dead_variance) == ("norm", 4, 2, 1)
    np.testing.assert_allclose(found.epsilon_share, 1e-3 / (x.var(axis=0)[2] + 1e-3), rtol=1e-6)
    assert found.largest_input == np.abs(X).max()
    assert found.clipping is None


def test_batch_renorm_clips_as_its_step_says():
    schedule = kn.RenormSchedule(2.0, 1.0, warmup_steps=0, r_max_steps=10, d_max_steps=10)
    norm = kn.BatchRenormalization(schedule=schedule, virtual_batch_size=2)
    model = one(norm)
    norm.step.assign(5)
    (found,) = kn.norm_statistics(model, X, batch_size=4).norms
    slices = X.astype("float64").reshape(6, -1, 4)
    sigma = np.sqrt(1.001)
    r, d = np.sqrt(slices.var(axis=1) + 1e-3) / sigma, np.abs(slices.mean(axis=1)) / sigma
    clipping = found.clipping
    assert (clipping.r_max, clipping.d_max) == (1.5, 0.5)
    np.testing.assert_allclose([clipping.r, clipping.d], [r.mean(), d.mean()], rtol=1e-6)
    assert clipping.r_clipped == np.mean((r > 1.5) | (r < 1 / 1.5)) > 0
    assert clipping.d_clipped == np.mean(d > 0.5) > 0


@pytest.mark.parametrize(
    ("norm", "moments"),
    [
        (lambda: kn.GroupNormalization(2), lambda x: x.reshape(12, 5, 2, 2).var(axis=(1, 3))),
        (lambda: layers.GroupNormalization(-1), lambda x: x.var(axis=1)),
        (lambda: kn.InstanceNormalization(), lambda x: x.var(axis=1)),
        (lambda: kn.GroupNormalization(5, axis=1), lambda x: x.var(axis=2)),
        (lambda: kn.LayerNormalization(), lambda x: x.var(axis=-1)),
        (lambda: layers.LayerNormalization([1, 2]), lambda x: x.var(axis=(1, 2))),
    ],
)
def test_a_norm_of_the_sample(norm, moments):
    found = only(norm(), batch_size=5)
    variance = moments(X.astype("float64"))
    np.testing.assert_allclose(found.epsilon_share, (1e-3 / (variance + 1e-3)).max(), rtol=1e-6)
    assert found.dead_variance == np.sum(variance < 1e-5)
    np.testing.assert_allclose(np.array(found.variance_quantiles)[[0, 10, 20]], np.quantile(variance, [0, 0.5, 1]))
    assert found.mean_off is found.by_channel is found.clipping is None


def test_padding_does_not_count():
    x = X.copy()
    x[:, 3:] = 0.0
    for norm in (kn.InstanceNormalization(), kn.BatchNormalization()):
        model = keras.Sequential([keras.Input((5, 4)), layers.Masking(), norm])
        (found,) = kn.norm_statistics(model, x).norms
        axes = (0, 1) if isinstance(norm, kn.BatchNormalization) else (1,)
        variance = x[:, :3].astype("float64").var(axis=axes)
        np.testing.assert_allclose(found.epsilon_share, (1e-3 / (variance + 1e-3)).max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("norm", "change", "told"),
    [
        (kn.BatchNormalization, lambda x: 1e5 * x, "beyond 65,504: they become infinite"),
        (kn.BatchNormalization, lambda x: 100 * x, "their squares become infinite"),
        (lambda: kn.LayerNormalization(epsilon=1e-6), lambda x: 0 * x, "below 6.1e-5"),
        (kn.BatchNormalization, lambda x: x + 100, "fewer than 64 steps"),
        (lambda: kn.GroupNormalization(1), lambda x: x + 200, "fewer than 64 steps"),
    ],
)
def test_half_precision(norm, change, told):
    x = change(X).astype("float32")
    found = only(norm(), x)
    assert [problem for problem in found.float16 if told in problem], found.float16
    assert only(norm(), np.clip(X[..., [0, 1, 3, 3]], -3, 3)).float16 == ()
    assert f"in float16: {found.float16[0]}" in str(kn.norm_statistics(one(norm()), x))


def test_the_model_is_as_it_was_and_frozen_norms_are_told_too():
    model = keras.Sequential([keras.Input((5, 4)), layers.Dense(3), layers.BatchNormalization(trainable=False)])
    before = model.get_weights()
    report = kn.norm_statistics(model, X)
    assert (report.batches, report.samples, len(report.norms)) == (1, 12, 1)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert str(kn.norm_statistics(keras.Sequential([keras.Input((5, 4)), layers.Dense(2)]), X)) == "There are no norms."
    with pytest.raises(TypeError, match="norm_statistics takes a Keras model"):
        kn.norm_statistics(None, X)


def test_the_monitor_writes_into_the_logs(tmp_path):
    """Csv files and the history have them; r and d are those of the batches."""
    norm = kn.BatchRenormalization(name="norm", schedule=kn.RenormSchedule.constant(3.0, 0.1))
    model = keras.Sequential([keras.Input((4,)), norm, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = X[:, 0]
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    monitor = RenormMonitor(x, batch_size=2, batches=None)
    history = model.fit(x, x[:, 0], batch_size=2, verbose=0, callbacks=[monitor, log]).history
    names = {f"norm/{name}" for name in ("r", "d", "r_clipped", "d_clipped", "r_max", "d_max")}
    assert names <= history.keys()
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    assert float(row["norm/r_max"]) == 3.0
    mean, sigma = norm.moving_mean.numpy(), np.sqrt(norm.moving_variance.numpy() + 1e-3)
    d = np.abs(x.reshape(6, 2, 4).mean(axis=1) - mean) / sigma
    np.testing.assert_allclose(history["norm/d"], [d.mean()], rtol=1e-4)
    np.testing.assert_allclose(history["norm/d_clipped"], [np.mean(d > 0.1)])
    with pytest.raises(ValueError, match="RenormMonitor reads `data` at the end of every epoch.*generator"):
        RenormMonitor(batch for batch in [x])
