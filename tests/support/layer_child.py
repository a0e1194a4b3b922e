"""Runs every layer case on the backend that KERAS_BACKEND names and writes all results to an .npz file.

KERAS_BACKEND=jax python layer_child.py results.npz

Importing a backend takes seconds, so the replicas and workers of layer_replicas.py are tried in the same process; JAX
needs two devices for them, which tests/layers/test_backends.py asks for.
"""

import sys
import traceback

import keras

before = set(sys.modules)
import keras_norms  # noqa: E402, F401 - before all others, to see what it imports

IMPORTED = sorted(set(sys.modules) - before)

import numpy as np  # noqa: E402
from layer_cases import BN, BRN, CASES, GN, IN, LN, OPEN, Case, inputs, randomize  # noqa: E402
from layer_replicas import Workers, mirrored, sharded  # noqa: E402
from tool_results import results as tool_results  # noqa: E402

STEPS = 2
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
HALF = (
    Case(BN, (4, 3, 5, 8), {"dtype": "mixed_float16"}),
    Case(BRN, (4, 3, 5, 8), {"dtype": "mixed_bfloat16", "schedule": OPEN}),
    Case(GN, (4, 3, 5, 8), {"dtype": "mixed_bfloat16", "groups": 2}),
    Case(IN, (4, 3, 5, 8), {"dtype": "mixed_float16"}),
    Case(LN, (4, 3, 5, 8), {"dtype": "mixed_float16"}),
)
FAR = (
    Case(BN, (4, 6, 5, 8)),
    Case(BRN, (4, 6, 5, 8), {"schedule": OPEN}),
    Case(GN, (4, 6, 5, 8), {"groups": 2}),
    Case(IN, (2, 32, 32, 8)),  # so many positions that PyTorch takes the samples one by one
    Case(LN, (4, 6, 5, 8)),
)
WIDE = (
    Case(BN, (4, 6, 3, 5), {"axis": 1, "dtype": "float64"}),
    Case(BRN, (4, 3, 5, 6), {"schedule": OPEN, "dtype": "float64"}),
    Case(GN, (4, 6, 3, 5), {"groups": 2, "axis": 1, "dtype": "float64"}),
    Case(GN, (8, 6), {"groups": 2, "dtype": "float64"}),
    Case(IN, (1, 1024, 8), {"dtype": "float64"}),
    Case(LN, (4, 6, 5), {"dtype": "float64"}),
)
TWICE = (Case(BN, (4, 3, 5, 6)), Case(GN, (4, 5, 6), {"groups": 2}), Case(IN, (1, 1024, 8)), Case(LN, (8, 6)))


def jax_caller(layer, call):
    """layer(x) compiled as a whole, once: operation by operation, JAX compiles a thousand little programs."""
    import jax

    @jax.jit
    def run(trainable, state, x):
        return layer.stateless_call(trainable, state, x, **call)

    def apply(x):
        trainable, state = layer.trainable_variables, layer.non_trainable_variables
        y, updated = run([v.value for v in trainable], [v.value for v in state], x)
        for variable, value in zip(state, updated, strict=True):
            variable.assign(value)
        return y

    return apply


def caller(layer, call):
    if keras.backend.backend() == "jax":
        return jax_caller(layer, call)
    return lambda x: layer(x, **call)


def jax_gradients(layer, x, upstream, call):
    import jax

    state = [v.value for v in layer.non_trainable_variables]

    @jax.jit
    def run(x, weights):
        y, pull = jax.vjp(lambda x, weights: layer.stateless_call(weights, state, x, **call)[0], x, weights)
        return pull(upstream.astype(y.dtype))

    dx, rest = run(x, [v.value for v in layer.trainable_variables])
    return [dx, *rest]


def tensorflow_gradients(layer, x, upstream, call):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = layer(x, **call)
    return tape.gradient(y, [x, *layer.trainable_variables], output_gradients=tf.cast(upstream, y.dtype))


def torch_gradients(layer, x, upstream, call):
    x = keras.ops.convert_to_tensor(x).requires_grad_()
    y = layer(x, **call)
    y.backward(keras.ops.cast(upstream, y.dtype))
    return [x.grad, *(v.value.grad for v in layer.trainable_variables)]


def second_gradient(case):
    """The gradient of the sum of squares of a gradient, as a gradient penalty has it."""
    backend = keras.backend.backend()
    layer, x = randomize(case.make(), case.shape), keras.ops.convert_to_tensor(inputs(case.shape))
    call = {"training": True} if case.has_batch_statistics else {}
    if backend == "jax":
        import jax

        weights, state = ([v.value for v in vs] for vs in (layer.trainable_variables, layer.non_trainable_variables))

        def total(x):
            return jax.numpy.sin(layer.stateless_call(weights, state, x, **call)[0]).sum()

        return jax.jit(jax.grad(lambda x: (jax.grad(total)(x) ** 2).sum()))(x)
    if backend == "torch":
        import torch

        x.requires_grad_()
        (first,) = torch.autograd.grad(layer(x, **call).sin().sum(), x, create_graph=True)
        return torch.autograd.grad((first**2).sum(), x)[0]
    import tensorflow as tf

    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(tf.sin(layer(x, **call)))
        penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
    return outer.gradient(penalty, x)


def run(case, mask=None, offset=0.5):
    """Everything a case gives: inference, a few training steps, the weights after them, and the gradients."""
    backend = keras.backend.backend()
    layer = randomize(case.make(), case.shape)
    dtype = "float64" if layer.compute_dtype == "float64" else "float32"
    x, upstream = inputs(case.shape, dtype=dtype, offset=offset), inputs(case.shape, seed=5, dtype=dtype)
    masked = {} if mask is None else {"mask": mask}
    results = {"inference": caller(layer, masked)(x)}
    call = {"training": True, **masked} if case.has_batch_statistics else masked
    if case.has_batch_statistics:
        train = caller(layer, call)
        for step in range(STEPS):
            results[f"training{step}"] = train(inputs(case.shape, step, dtype, offset))
        for weight in layer.weights:
            results[weight.name] = keras.ops.convert_to_numpy(weight).copy()
    gradients = {"jax": jax_gradients, "tensorflow": tensorflow_gradients, "torch": torch_gradients}[backend]
    for i, gradient in enumerate(gradients(layer, x, upstream, call)):
        results[f"gradient{i}"] = gradient
    return {name: keras.ops.convert_to_numpy(keras.ops.cast(v, dtype)) for name, v in results.items()}


def refused():
    """PyTorch has no replicas."""
    BN(synchronized=True)


def replicas():
    """What goes wrong with replicas: a traceback, or an empty text. First of all, as TensorFlow must not have begun."""
    try:
        {"tensorflow": mirrored, "jax": sharded, "torch": refused}[keras.backend.backend()]()
    except Exception:
        return traceback.format_exc()
    finally:
        if keras.backend.backend() == "jax":
            keras.distribution.set_distribution(None)
    return ""


def main(path):
    workers = Workers() if keras.backend.backend() == "tensorflow" else None
    wrong = {"replicas": replicas(), "workers": workers.wrong() if workers else ""}
    mask = np.random.default_rng(3).random((4, 7)) < 0.6
    rows = [("plain", case, {}) for case in (*CASES[::2], *GHOSTS, *HALF, *WIDE)]
    rows += [("masked", case, {"mask": mask}) for case in MASKED]
    # At 10 a native kernel that takes E[x^2] - E[x]^2 is wrong by 4e-4.
    rows += [(f"far {offset:g}", case, {"offset": offset}) for case in FAR for offset in (10.0, 1e4)]
    results = {}
    for kind, case, setting in rows:
        for name, value in run(case, **setting).items():
            results[f"{kind} {case.id} {name}"] = value
    for case in TWICE:
        results[f"twice {case.id}"] = keras.ops.convert_to_numpy(second_gradient(case))
    results |= {f"tools {name}": np.asarray(value) for name, value in tool_results().items()}
    np.savez(path, imported=IMPORTED, **wrong, **results)


if __name__ == "__main__":
    main(sys.argv[1])
