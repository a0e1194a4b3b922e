"""What every layer case gives on the backend that runs: outputs, statistics and gradients, for backend_child.py."""

import keras
import numpy as np
import tool_results
from layer_cases import BN, BRN, CASES, GN, IN, LN, OPEN, Case, inputs, randomize

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


def jax_results(layer, inference, training, steps, x, upstream, call):
    """What `results` gives, in one compiled program: JAX compiles a thousand little ones operation by operation."""
    import jax

    @jax.jit
    def everything(weights, state, steps, x, upstream):
        found = {"inference": layer.stateless_call(weights, state, x, **inference)[0]}
        for step, batch in enumerate(steps):
            found[f"training{step}"], state = layer.stateless_call(weights, state, batch, **training)
        y, pull, state = jax.vjp(
            lambda x, weights: layer.stateless_call(weights, state, x, **call), x, weights, has_aux=True
        )
        dx, rest = pull(upstream.astype(y.dtype))
        return found, state, [dx, *rest]

    weights, state = ([v.value for v in vs] for vs in (layer.trainable_variables, layer.non_trainable_variables))
    found, state, gradients = everything(weights, state, steps, x, upstream)
    for variable, value in zip(layer.non_trainable_variables, state, strict=True):
        variable.assign(value)
    return found, gradients


def results(layer, inference, training, steps, x, upstream, call):
    """The outputs of inference, then of training on each of the steps; and after them the gradients."""
    if keras.backend.backend() == "jax":
        return jax_results(layer, inference, training, steps, x, upstream, call)
    found = {"inference": layer(x, **inference)}
    found |= {f"training{i}": layer(batch, **training) for i, batch in enumerate(steps)}
    gradients = tensorflow_gradients if keras.backend.backend() == "tensorflow" else torch_gradients
    return found, gradients(layer, x, upstream, call)


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
    layer = randomize(case.make(), case.shape)
    dtype = "float64" if layer.compute_dtype == "float64" else "float32"
    x, upstream = inputs(case.shape, dtype=dtype, offset=offset), inputs(case.shape, seed=5, dtype=dtype)
    masked = {} if mask is None else {"mask": mask}
    training = {"training": True, **masked}
    learns = case.has_batch_statistics
    steps = [inputs(case.shape, step, dtype, offset) for step in range(STEPS)] if learns else []
    found, gradients = results(layer, masked, training, steps, x, upstream, training if learns else masked)
    if learns:
        found |= {weight.name: keras.ops.convert_to_numpy(weight) for weight in layer.weights}
    found |= {f"gradient{i}": gradient for i, gradient in enumerate(gradients)}
    return {name: keras.ops.convert_to_numpy(keras.ops.cast(v, dtype)) for name, v in found.items()}


def layer_results():
    """Name to array: the same on every backend."""
    mask = np.random.default_rng(3).random((4, 7)) < 0.6
    rows = [("plain", case, {}) for case in (*CASES[::2], *GHOSTS, *HALF, *WIDE)]
    rows += [("masked", case, {"mask": mask}) for case in MASKED]
    # At 10 a native kernel that takes E[x^2] - E[x]^2 is wrong by 4e-4.
    rows += [(f"far {offset:g}", case, {"offset": offset}) for case in FAR for offset in (10.0, 1e4)]
    found = {}
    for kind, case, setting in rows:
        for name, value in run(case, **setting).items():
            found[f"{kind} {case.id} {name}"] = value
    for case in TWICE:
        found[f"twice {case.id}"] = keras.ops.convert_to_numpy(second_gradient(case))
    return found | {f"tools {name}": np.asarray(value) for name, value in tool_results.results().items()}
