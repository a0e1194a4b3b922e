"""Train one network of evidence.py: gradient descent with momentum, its rate falling along a cosine to zero."""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
from evidence_data import CHUNK, draw

MOMENTUM = 0.9


@functools.cache
def _compiled(build, shape, classes, norm, steps, scale):
    """A step and a count of right answers, compiled once for all rates and seeds."""
    model = build(shape, classes, norm, steps, scale)

    def loss(weights, others, x, y):
        logits, others = model.stateless_call(weights, others, x, training=True)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean(), others

    @jax.jit
    def step(weights, others, speeds, x, y, rows, rate):
        (_, others), gradients = jax.value_and_grad(loss, has_aux=True)(weights, others, x[rows], y[rows])
        speeds = [MOMENTUM * v + g for v, g in zip(speeds, gradients, strict=True)]
        return [w - rate * v for w, v in zip(weights, speeds, strict=True)], others, speeds

    @jax.jit
    def accuracy(weights, others, x, y):
        logits, _ = model.stateless_call(weights, others, x, training=False)
        return (logits.argmax(axis=-1) == y).mean()

    return step, accuracy


def train(build, data, norm, *, batches, rate, seed, steps, scale=1.0):
    """Accuracies in percent: of the test samples after every CHUNK steps, of the others at the end."""
    setting = (build, data.x.shape[1:], int(data.y.max()) + 1, norm, steps, scale)
    step, accuracy = _compiled(*setting)
    keras.utils.set_random_seed(seed)
    model = build(*setting[1:])
    weights = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    speeds = [jnp.zeros_like(w) for w in weights]
    rows = draw(data.y, batches, steps, np.random.default_rng(seed))
    rates = (rate * 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))).astype("float32")
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    curve = []
    for i in range(steps):
        weights, others, speeds = step(weights, others, speeds, x, y, rows[i], rates[i])
        if (i + 1) % CHUNK == 0:
            curve.append(_percent(accuracy(weights, others, data.x_test, data.y_test)))
    validation = _percent(accuracy(weights, others, data.x_validation, data.y_validation))
    return {"test": curve, "validation": validation, "training": _percent(accuracy(weights, others, x, y))}


def _percent(share):
    return round(100 * float(share), 2)
