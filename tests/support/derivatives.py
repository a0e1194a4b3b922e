"""The table of second derivatives on the backend that KERAS_BACKEND names: every row of derivative_cases.

    KERAS_BACKEND=torch python tests/support/derivatives.py          all rows; on JAX this compiles for three minutes

Each row gives two errors, that of a Hessian-vector product and that of the gradient of a penalty on a gradient, as a
share of the largest entry of what is right; both by every parameter of the program.
"""

import contextlib

import keras
import numpy as np
from derivative_cases import ROWS
from derivative_oracle import Reference, directions, program
from layer_cases import randomize

TOLERANCES = {"float32": 1e-3, "float64": 1e-6}


def layer_of(row, parameters, dtype):
    layer = randomize(row.case.make(dtype=dtype), row.case.shape)
    for weight, value in ((layer.gamma, parameters.gamma), (layer.beta, parameters.beta)):
        if weight is not None:
            weight.assign(value)
    return layer


def call_of(row):
    call = {"training": True} if row.case.has_batch_statistics else {}
    return call if row.mask_shape is None else {**call, "mask": keras.ops.convert_to_tensor(row.mask())}


def jax_products(layer, call, arrays, direction, u):
    import jax
    import jax.numpy as jnp

    state = [v.value for v in layer.non_trainable_variables]

    def loss(x, kernel, *weights):
        y = layer.stateless_call(list(weights), state, x @ kernel, **call)[0]
        return jnp.sum(jnp.sin(y) * u)

    numbers = tuple(range(len(arrays)))
    gradient = jax.grad(loss, numbers)

    @jax.jit
    def run(arrays, direction):
        def along(*arrays):
            return sum(jnp.vdot(g, v) for g, v in zip(gradient(*arrays), direction, strict=True))

        def penalty(*arrays):
            return jnp.sum(jax.grad(loss)(*arrays) ** 2)

        return [jax.grad(f, numbers)(*arrays) for f in (along, penalty)]

    return run(arrays, direction)


def tensorflow_products(layer, call, arrays, direction, u):
    import tensorflow as tf

    x, kernel = arrays[:2]
    wanted = [x, kernel, *layer.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as inner:
            inner.watch([x, kernel])
            loss = tf.reduce_sum(tf.sin(layer(x @ kernel, **call)) * u)
        first = inner.gradient(loss, wanted)
        along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(first, direction, strict=True)])
        penalty = tf.reduce_sum(first[0] ** 2)
    return [
        outer.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO) for total in (along, penalty)
    ]


def torch_products(layer, call, arrays, direction, u):
    import torch

    x, kernel = (v.requires_grad_() for v in arrays[:2])
    wanted = [x, kernel, *(v.value for v in layer.trainable_variables)]
    loss = (torch.sin(layer(x @ kernel, **call)) * u).sum()
    first = torch.autograd.grad(loss, wanted, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(first, direction, strict=True))
    totals = (along, (first[0] ** 2).sum())
    return [torch.autograd.grad(t, wanted, retain_graph=True, materialize_grads=True) for t in totals]


def products(row, dtype):
    """Hessian times direction, and the gradient of a penalty on the gradient at x."""
    parameters = program(row.case)
    layer = layer_of(row, parameters, dtype)
    direction, u = directions(parameters)
    arrays, direction = (
        [keras.ops.convert_to_tensor(v.astype(dtype)) for v in vs] for vs in (parameters.arrays(), direction)
    )
    u = keras.ops.convert_to_tensor(u.astype(dtype))
    run = {"jax": jax_products, "tensorflow": tensorflow_products, "torch": torch_products}[keras.backend.backend()]
    found = run(layer, call_of(row), arrays, direction, u)
    return [[np.asarray(keras.ops.convert_to_numpy(v), "float64") for v in values] for values in found]


def errors(row, dtype):
    """The error of each kind of product, as a share of the largest entry of what is right."""
    parameters = program(row.case)
    direction, u = directions(parameters)
    reference = Reference(row.case, layer_of(row, parameters, "float64"), parameters, row.mask())
    wanted = reference.hessian_times(parameters, u, direction), reference.penalty_gradient(parameters, u)
    return [
        max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, right, strict=True))
        for found, right in zip(products(row, dtype), wanted, strict=True)
    ]


def sample():
    """The errors of every row in one dtype or the other. JAX, which compiles for a second for each row, gets a few."""
    dtypes = list(TOLERANCES)
    rows = [(row, dtypes[i % 2]) for i, row in enumerate(ROWS)]
    return table(rows[::11] if keras.backend.backend() == "jax" else rows)


def table(rows):
    with wide_floats():
        return {f"{row.id} {dtype}": errors(row, dtype) for row, dtype in rows}


def wide_floats():
    """JAX has float64 only on request."""
    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


def main():
    found = table([(row, dtype) for row in ROWS for dtype in TOLERANCES])
    for name, values in found.items():
        print(name, *(f"{error:.1e}" for error in values))
    for dtype in TOLERANCES:
        print(
            "largest,",
            dtype,
            *(f"{max(v):.1e}" for v in zip(*(v for k, v in found.items() if dtype in k), strict=True)),
        )


if __name__ == "__main__":
    main()
