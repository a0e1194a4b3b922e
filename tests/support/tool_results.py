"""What the tools for norms in training give on the backend that runs, for layer_results.py."""

import keras
import numpy as np
from keras import layers

import keras_norms as kn
from keras_norms.callbacks import Recalibrate, RenormMonitor

X = np.random.default_rng(8).normal(1.0, 2.0, (10, 6, 6, 3)).astype("float32")
TORCH = {
    "n.weight": np.full(3, 2.0),
    "n.bias": np.ones(3),
    "n.running_mean": np.ones(3),
    "n.running_var": np.full(3, 4.0),
}


def numpy_of(x):
    return keras.ops.convert_to_numpy(x)


def model():
    """Weights from NumPy, since the backends draw other random numbers."""
    image = keras.Input((6, 6, 3))
    x = kn.BatchNormalization(name="first")(image)
    x = kn.WeightStandardization(layers.Conv2D(4, 3, use_bias=False), scaled=True, name="standard")(x)
    x = layers.ReLU()(kn.BatchRenormalization(name="renorm")(x))
    x = layers.BatchNormalization(name="last")(layers.GlobalAveragePooling2D()(x))
    made = keras.Model(image, layers.Dense(2, name="dense")(x))
    rng = np.random.default_rng(9)
    for name in ("standard", "dense"):
        for weight in made.get_layer(name).weights:
            weight.assign(rng.normal(0.2, 1.0, weight.shape))
    return made


def results():
    """Name to array: the same on every backend."""
    found = {}
    net = model()
    found["one pass"] = kn.recalibrate(net, X, batch_size=5).norms[2].mean_moved
    kn.recalibrate(net, X, batch_size=5, sequential=True)
    for norm in ("first", "renorm", "last"):
        found[f"{norm} mean"] = numpy_of(net.get_layer(norm).moving_mean)
        found[f"{norm} variance"] = numpy_of(net.get_layer(norm).moving_variance)
    rows = X.reshape(-1, 3).astype("float64")
    np.testing.assert_allclose(found["first mean"], rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["first variance"], rows.var(axis=0), rtol=1e-6)
    report = kn.norm_statistics(net, X, batch_size=5)
    found["observed"] = np.array([[n.epsilon_share, n.batch_mean_off, n.largest_input] for n in report.norms])
    found["output"] = numpy_of(net(X))
    for to in ("keras", "group", "none"):
        converted, told = kn.convert_norms(net, to)
        found[f"converted to {to}"] = numpy_of(converted(X))
        if told.exact:
            np.testing.assert_allclose(found[f"converted to {to}"], found["output"], rtol=1e-4, atol=1e-4)
    found["from PyTorch"] = numpy_of(kn.from_torch_norm(TORCH, prefix="n.")(X))
    return {**found, **trained(net)}


def trained(net):
    """The weights after an epoch whose average is recalibrated, and what the monitor logged."""
    net.compile(keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5), "mse")
    callbacks = [RenormMonitor(X, batch_size=5), Recalibrate(X, batch_size=5, sequential=True)]
    history = net.fit(X, np.ones((10, 2)), batch_size=5, shuffle=False, verbose=0, callbacks=callbacks).history
    found = {f"trained {i}": numpy_of(w) for i, w in enumerate(net.weights) if "int" not in str(w.dtype)}
    again = kn.recalibrate(net, X, batch_size=5, sequential=True)
    assert max(n.mean_moved for n in again.norms) < 1e-5
    return {**found, "logged": np.array([history[f"renorm/{name}"][0] for name in ("r", "d", "r_max")])}
