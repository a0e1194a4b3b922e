"""Runs every layer case on the backend that KERAS_BACKEND names and writes all results to an .npz file.

    KERAS_BACKEND=jax python layer_child.py results.npz
"""

import sys

import keras
import numpy as np
from layer_cases import BN, BRN, CASES, GN, IN, LN, OPEN, Case, inputs, randomize

STEPS = 3
MASKED = (
    Case(BN, (4, 7, 6)),
    Case(BN, (4, 6, 7), {"axis": 1}),
    Case(BRN, (4, 7, 6), {"schedule": OPEN}),
    Case(GN, (4, 7, 6), {"groups": 2}),
    Case(IN, (4, 7, 6)),
)
GHOSTS = (
    Case(BN, (7, 5, 6), {"virtual_batch_size": 2}),
    Case(BRN, (8, 6), {"virtual_batch_size": 4, "schedule": OPEN}),
)
HALF = tuple(
    Case(layer, (4, 3, 5, 8), {"dtype": policy, **more})
    for policy in ("mixed_float16", "mixed_bfloat16")
    for layer, more in ((BN, {}), (BRN, {"schedule": OPEN}), (GN, {"groups": 2}), (IN, {}), (LN, {}))
)


def gradients(layer, x, upstream, call):
    """dx and the gradients of the trainable weights."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            x = tf.constant(x)
            tape.watch(x)
            y = layer(x, **call)
        return tape.gradient(y, [x, *layer.trainable_variables], output_gradients=tf.cast(upstream, y.dtype))
    if backend == "jax":
        import jax

        state = [v.value for v in layer.non_trainable_variables]

        def apply(x, weights):
            return layer.stateless_call(weights, state, x, **call)[0]

        y, pull = jax.vjp(apply, x, [v.value for v in layer.trainable_variables])
        dx, rest = pull(upstream.astype(y.dtype))
        return [dx, *rest]
    x = keras.ops.convert_to_tensor(x).requires_grad_()
    y = layer(x, **call)
    y.backward(keras.ops.cast(upstream, y.dtype))
    return [x.grad, *(v.value.grad for v in layer.trainable_variables)]


def run(case, mask=None):
    """Everything a case gives: inference, a few training steps, the weights after them, and the gradients."""
    layer = randomize(case.make(), case.shape)
    x, upstream = inputs(case.shape), inputs(case.shape, seed=5)
    masked = {} if mask is None else {"mask": mask}
    results = {"inference": layer(x, **masked)}
    call = {"training": True, **masked} if case.has_batch_statistics else masked
    if case.has_batch_statistics:
        for step in range(STEPS):
            results[f"training{step}"] = layer(inputs(case.shape, seed=step), **call)
        for weight in layer.weights:
            results[weight.name] = keras.ops.convert_to_numpy(weight).copy()
    for i, gradient in enumerate(gradients(layer, x, upstream, call)):
        results[f"gradient{i}"] = gradient
    return {name: keras.ops.convert_to_numpy(keras.ops.cast(v, "float32")) for name, v in results.items()}


def main(path):
    mask = np.random.default_rng(3).random((4, 7)) < 0.6
    rows = [(case, None) for case in (*CASES, *GHOSTS, *HALF)] + [(case, mask) for case in MASKED]
    results = {}
    for number, (case, case_mask) in enumerate(rows):
        for name, value in run(case, case_mask).items():
            results[f"{number}|{case.id}|{name}"] = value
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
