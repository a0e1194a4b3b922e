"""from_torch_norm: each norm of PyTorch and the layer made of it give the same numbers."""

import keras
import numpy as np
import pytest

import keras_norms as kn

torch = pytest.importorskip("torch")
nn = torch.nn

# The layer, the shape of its input, and arguments for channels where Keras has them.
TWINS = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6, momentum=0.3), (5, 6), {}),
    "BatchNorm1d, sequence": (lambda: nn.BatchNorm1d(6, eps=1e-2), (5, 6, 7), {"rank": 3}),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6), (5, 6, 4, 3), {}),
    "BatchNorm2d, channels first": (lambda: nn.BatchNorm2d(6), (5, 6, 4, 3), {"axis": 1}),
    "BatchNorm2d, no affine": (lambda: nn.BatchNorm2d(6, affine=False), (5, 6, 4, 3), {}),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(6), (2, 6, 4, 3, 2), {}),
    "SyncBatchNorm": (lambda: nn.SyncBatchNorm(6), (5, 6, 4, 3), {}),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), (5, 6, 4, 3), {}),
    "GroupNorm, rank 3": (lambda: nn.GroupNorm(2, 6, eps=1e-3), (5, 6, 9), {"rank": 3}),
    "GroupNorm, no affine": (lambda: nn.GroupNorm(2, 6, affine=False), (5, 6, 4, 3), {"axis": 1}),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(6), (5, 6, 9), {}),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(6, affine=True), (5, 6, 4, 3), {}),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(6, affine=True), (2, 6, 4, 3, 2), {}),
    "LayerNorm": (lambda: nn.LayerNorm(6), (5, 3, 6), {}),
    "LayerNorm, rank 2, no bias": (lambda: nn.LayerNorm(6, bias=False), (5, 6), {"rank": 2}),
    "LayerNorm of three axes": (lambda: nn.LayerNorm((4, 3, 6)), (5, 4, 3, 6), {}),
}


def randomized(norm, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in norm.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + ("var" in name))
    return norm.eval()


def inputs(shape, seed=1):
    return np.random.default_rng(seed).normal(0.5, 2.0, shape).astype("float32")


def called(layer, x, first):
    """The layer on an input of PyTorch's layout, and its output in that."""
    y = layer(x if first else np.moveaxis(x, 1, -1))
    return keras.ops.convert_to_numpy(y) if first else np.moveaxis(keras.ops.convert_to_numpy(y), -1, 1)


@pytest.mark.parametrize("twin", TWINS)
def test_twins(twin):
    make, shape, arguments = TWINS[twin]
    norm = randomized(make())
    layer = kn.from_torch_norm(norm, name="twin", **arguments)
    x = inputs(shape)
    first = arguments.get("axis") == 1 or "LayerNorm" in twin
    with torch.no_grad():
        expected = norm(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(called(layer, x, first), expected, rtol=1e-4, atol=1e-5)
    assert layer.name == "twin"
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_state_dict_of_a_model():
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.LayerNorm(4))
    state = randomized(net).state_dict()
    batch = kn.from_torch_norm(state, prefix="1.")
    np.testing.assert_allclose(
        batch.get_weights(),
        [state[f"1.{n}"].numpy() for n in ("weight", "bias", "running_mean", "running_var")],
        rtol=1e-6,
    )
    assert (batch.epsilon, batch.momentum) == (1e-5, 0.9)
    assert kn.from_torch_norm(state, prefix="2.", kind="group", groups=2, epsilon=1e-3).epsilon == 1e-3
    assert kn.from_torch_norm(state, prefix="3.", kind="layer").input_spec is None


def test_training_moves_the_statistics_by_the_same_share():
    """PyTorch's variance moves by the unbiased one, n / (n - 1) times ours."""
    norm = randomized(nn.BatchNorm1d(3, momentum=0.25)).train()
    layer = kn.from_torch_norm(norm)
    before = [keras.ops.convert_to_numpy(w).copy() for w in layer.weights[2:]]
    x = inputs((8, 3))
    y = norm(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(layer(x, training=True), y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, norm.running_mean.numpy(), rtol=1e-5, atol=1e-6)
    step = keras.ops.convert_to_numpy(layer.moving_variance) - 0.75 * before[1]
    np.testing.assert_allclose(step * 8 / 7, norm.running_var.numpy() - 0.75 * before[1], rtol=1e-4)


def state():
    return {"a.weight": np.ones(4), "a.bias": np.zeros(4)}


REFUSED = [
    (lambda: kn.from_torch_norm(nn.Linear(3, 3)), TypeError, r"one of PyTorch's BatchNorm1d.*Received: Linear"),
    (lambda: kn.from_torch_norm(nn.LazyBatchNorm2d()), TypeError, "Call it once on a batch"),
    (lambda: kn.from_torch_norm(nn.BatchNorm2d(3, track_running_stats=False)), ValueError, "track_running_stats=True"),
    (lambda: kn.from_torch_norm(nn.InstanceNorm2d(3, track_running_stats=True)), ValueError, "track_running_stats=F"),
    (lambda: kn.from_torch_norm(state()), ValueError, r"behind the prefix ''. Give a `prefix`: 'a\.'"),
    (lambda: kn.from_torch_norm(state(), prefix="a."), ValueError, "without running statistics.*kind=None"),
    (lambda: kn.from_torch_norm(state(), prefix="a.", kind="batch"), ValueError, "without running statistics"),
    (lambda: kn.from_torch_norm(state(), prefix="a.", kind="group"), ValueError, "which needs it.*groups=None"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text[:25] for _, _, text in REFUSED])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_average_of_all_batches_has_no_equal():
    assert kn.from_torch_norm(nn.BatchNorm2d(3, momentum=None)).momentum == 0.99
