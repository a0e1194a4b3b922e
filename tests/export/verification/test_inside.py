"""What a look inside of an artifact finds that its outputs hide, and what it must not blame."""

from functools import partial

import keras
import numpy as np
import pytest
from keras_norms.export import VerificationError, lowerings, to_onnx, to_tflite, verify
from keras_norms.export.verification import reach as reach_module
from keras_norms.export.verification.inside.found_values import Values
from models import randomize

import keras_norms

L = keras.layers
EXPORTS = [pytest.param(to_tflite, ".tflite", id="tflite"), pytest.param(to_onnx, ".onnx", id="onnx")]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2)], ids=["channels last", "channels first"])
def test_a_value_is_found_in_either_layout(order):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    values = Values([rng.normal(size=y.shape).astype("float32"), y.transpose(order) * np.float32(1 + 1e-5), y[..., 0]])
    found = values.nearest(y)
    assert 5e-6 < found.distance.relative < 2e-5
    np.testing.assert_allclose(found.value, y, rtol=2e-5)


def test_a_fault_between_the_positions_that_are_looked_at_first_counts():
    y = np.random.default_rng(0).normal(size=(1, 40, 40, 3)).astype("float32")
    off = y.copy()
    off.flat[7] += 1.0
    assert Values([off]).nearest(y).distance.relative > 0.1


def deep_net(blocks, faulty=None):
    """A residual net of group norms: what one of them does wrong hardly reaches the output."""
    x = image = keras.Input((8, 8, 4), name="image")
    x = L.Conv2D(8, 3, padding="same")(x)
    for i in range(blocks):
        y = L.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = L.Add()([x, L.ReLU()(keras_norms.GroupNormalization(4, name=f"norm_{i}")(y))])
    model = keras.Model(image, L.Dense(3, name="y")(L.GlobalAveragePooling2D()(x)))
    randomize(model, seed=1)
    return model


class Doubled:
    """A layer that says that its epsilon is twice what it is."""

    def __init__(self, layer):
        self._layer, self.epsilon = layer, 2 * layer.epsilon

    def __getattr__(self, name):
        return getattr(self._layer, name)


@pytest.mark.runtime
@pytest.mark.parametrize(("export", "suffix"), EXPORTS)
def test_a_wrong_epsilon_in_one_norm_of_many_is_found(export, suffix, tmp_path, monkeypatch):
    """Twice the epsilon at norm 5 of 10 moves the output by less than the tolerance."""

    def lower(layer, channels_first, right):
        return right(Doubled(layer) if layer.name == "norm_5" else layer, channels_first)

    monkeypatch.setattr(lowerings, "LOWERINGS", [(k, partial(lower, right=right)) for k, right in lowerings.LOWERINGS])
    with pytest.raises(VerificationError, match="norm_5"):
        export(deep_net(10), tmp_path / f"m{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.runtime
@pytest.mark.parametrize(("export", "suffix"), EXPORTS)
def test_right_norms_are_seen_and_not_blamed(export, suffix, tmp_path):
    report = export(deep_net(3), tmp_path / f"m{suffix}").verification
    assert report.inside.norms == 3
    assert report.inside.worst < 2e-6
    assert "compared inside the file: 3 norms" in str(report)


def still_net(broken=False):
    """A group norm of features that are far smaller than its epsilon: the output is the same for every input."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3), name="image")
    x = L.ReLU(name="features")(L.Conv2D(8, 3, name="conv")(x))
    x = L.Dense(16, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-9), name="small")(
        L.GlobalAveragePooling2D(name="pool")(x)
    )
    x = keras_norms.GroupNormalization(4, name="norm")(x)
    model = keras.Model(image, L.Dense(3, activation="softmax", name="y")(x))
    if broken:
        conv = model.get_layer("conv")
        conv.set_weights([-conv.get_weights()[0], conv.get_weights()[1]])
    return model


@pytest.mark.runtime
def test_an_output_that_does_not_move_is_judged_by_what_moves_before_it(tmp_path):
    report = to_onnx(still_net(), tmp_path / "m.onnx").verification
    assert report.movement["y"] < 1e-3
    assert report.inside.deepest == ("norm",)
    assert "output 'y' does not move" in str(report)
    found = verify(still_net(broken=True), tmp_path / "m.onnx")
    assert all(check.ok for check in found.checks), "the outputs do not show it"
    assert not found.ok
    assert "inconclusive: output 'y' is the same for every input" in found.failure()
    assert "'norm', the last layer whose result moves, is not found in the file" in found.failure()


@pytest.mark.runtime
def test_norms_that_merge_with_an_activation_are_still_seen(tmp_path):
    x = image = keras.Input((6, 6, 4), name="image")
    x = L.ReLU(6.0)(keras_norms.InstanceNormalization(name="norm")(L.Conv2D(4, 3)(x)))
    model = keras.Model(image, L.Dense(2, name="y")(L.Flatten()(x)))
    randomize(model, seed=2)
    assert to_tflite(model, tmp_path / "m.tflite").verification.inside.norms == 1


@pytest.mark.runtime
def test_batch_norms_with_fresh_statistics_are_not_taken_for_their_inputs(tmp_path):
    """There x / sqrt(1 + 1e-3) is off from x by 5e-4, and both stand in the file."""
    x = image = keras.Input((6, 6, 4), name="image")
    x = L.BatchNormalization()(L.Conv2D(4, 3)(x))
    model = keras.Model(image, L.Dense(2, name="y")(L.Flatten()(keras_norms.LayerNormalization()(x))))
    report = to_onnx(model, tmp_path / "m.onnx").verification
    assert report.ok
    assert report.inside.norms == 1


@pytest.mark.runtime
def test_how_far_from_zero_a_file_holds_is_told_beside_the_model(tmp_path):
    x = keras.Input((8, 8, 8), name="x")
    reach = to_onnx(keras.Model(x, L.GroupNormalization(2)(x)), tmp_path / "m.onnx").verification.reach
    assert reach.artifact >= 1e3
    assert 30 <= reach.model <= 3e3
    assert "Keras itself up to a mean of" in str(reach)


@pytest.mark.runtime
@pytest.mark.parametrize("last", ["rows", "sum"])
def test_means_that_run_together_tell_what_each_tells_alone(last, tmp_path, monkeypatch, read_here):
    """Up to one step: kernels sum a batch of other rows in another order, and the last step may hang on that."""
    x = keras.Input((8, 8, 8), name="x")
    y = L.GroupNormalization(2)(x)
    model = keras.Model(x, y if last == "rows" else keras.ops.sum(y, axis=0))
    together = to_onnx(model, tmp_path / "m.onnx").verification.reach
    monkeypatch.setattr(reach_module, "_NUMBERS_AT_ONCE", 1)
    alone = verify(model, tmp_path / "m.onnx").reach
    steps = [0.0, *reach_module.MEANS].index
    for one, other in ((alone.artifact, together.artifact), (alone.model, together.model)):
        assert abs(steps(one) - steps(other)) <= 1
    assert together.artifact > 0


@pytest.mark.runtime
def test_parts_of_a_layer_and_outputs_that_move_are_not_looked_for_inside(tmp_path):
    """A runtime may compute all steps at once; and the output itself is compared."""
    x = keras.Input((4, 6, 3))
    normed = keras_norms.InstanceNormalization(name="norm", beta_initializer="ones")(L.Activation("tanh")(x))
    steps = L.TimeDistributed(L.Dense(2))(L.Activation("exponential")(x))
    report = to_onnx(keras.Model(x, [L.GlobalAveragePooling2D()(normed), steps]), tmp_path / "m.onnx").verification
    assert report.inside.deepest == ("norm",)


@pytest.mark.runtime
@pytest.mark.parametrize("after", [L.Normalization(mean=0.2, variance=1.5), L.Rescaling(0.7, 0.3)])
def test_a_norm_whose_constants_merge_with_the_next_ones_is_still_judged(after, tmp_path):
    x = keras.Input((6, 4))
    norm = keras_norms.LayerNormalization(axis=1, gamma_initializer="random_normal", beta_initializer="ones")
    model, path = keras.Model(x, L.Dense(3)(after(norm(L.Activation("tanh")(x))))), tmp_path / "m.onnx"
    report = to_onnx(model, path).verification
    assert report.inside.norms == 1
    assert report.inside.worst < 1e-6
    norm.epsilon *= 2
    assert not verify(model, path).ok


@pytest.mark.runtime
def test_a_norm_whose_constants_move_through_a_join_into_a_kernel_is_still_judged(tmp_path, read_here):
    x = keras.Input((4, 4, 3))
    norm = keras_norms.InstanceNormalization(scale=False, beta_initializer=keras.initializers.Constant(0.05))
    y = L.BatchNormalization()(L.Concatenate()([norm(x), x]))
    model, path = randomize(keras.Model(x, L.Conv2D(2, 1, activation="softplus")(y))), tmp_path / "m.onnx"
    norm.beta.assign([0.05, -0.05, 0.02])
    assert to_onnx(model, path).verification.inside.norms == 1
    norm.epsilon *= 2
    assert not verify(model, path).ok


@pytest.mark.runtime
@pytest.mark.parametrize(("export", "suffix"), EXPORTS)
def test_a_norm_over_time_is_judged_as_the_file_computes_it(export, suffix, tmp_path, read_here):
    """What one step takes may be found too, in a recurrent layer before it; what the norm makes of it is not."""
    x = keras.Input((5, 4), batch_size=2)
    norm = L.LayerNormalization()
    y = L.TimeDistributed(norm)(L.LSTM(3, unroll=True, return_sequences=True)(x))
    model, path = randomize(keras.Model(x, L.Activation("relu6")(y))), tmp_path / f"m{suffix}"
    assert export(model, path).verification.inside.norms == 1
    norm.epsilon *= 4
    assert not verify(model, path).ok


@pytest.mark.runtime
def test_an_output_that_only_wide_inputs_move_is_compared_on_these(tmp_path):
    x = keras.Input((4,))
    net = {far: keras.Model(x, L.ReLU(threshold=far, name="y")(x * 1.0)) for far in (5.0, 5.5)}
    report = to_onnx(net[5.0], tmp_path / "m.onnx").verification
    assert report.movement["y"] > 0.1
    assert not verify(net[5.5], tmp_path / "m.onnx").ok


@pytest.mark.runtime
def test_an_output_that_nothing_moves_is_told_with_the_layer(tmp_path):
    x = image = keras.Input((6, 6, 1))
    x = L.Conv2D(2, 3, name="y")(L.LayerNormalization(name="norm")(x))  # of one channel
    with pytest.raises(VerificationError, match="the first layer that gives the same for all is 'norm'"):
        to_onnx(keras.Model(image, x), tmp_path / "m.onnx")
