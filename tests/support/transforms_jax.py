"""The transforms of JAX, for transforms.py: each takes a Given and returns arrays. They need two devices."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, PartitionSpec


def _values(variables):
    return [v.value for v in variables]


def _parts(it):
    return _values(it.layer.trainable_variables), _values(it.layer.non_trainable_variables)


def _output(it, x):
    return it.layer.stateless_call(*_parts(it), x @ it.kernel, **it.call)[0]


def _loss(it, x):
    return jnp.sum(jnp.sin(_output(it, x)) * it.u)


def _step(it, x, state, wrap=lambda f: f):
    """The gradient by x, and the state after the step."""

    def loss(x, state):
        def output(x, state):
            return it.layer.stateless_call(_parts(it)[0], state, x @ it.kernel, **it.call)

        y, state = wrap(output)(x, state)
        return jnp.sum(jnp.sin(y) * it.u), state

    dx, state = jax.grad(loss, has_aux=True)(x, state)
    return [dx, *(state if it.subject.training else [])]


def jit_of_grad(it):
    return jax.jit(lambda x, state: _step(it, x, state))(it.x, _parts(it)[1])


def donated(it):
    state = [v + 0 for v in _parts(it)[1]]
    return jax.jit(lambda x, state: _step(it, x, state), donate_argnums=(0, 1))(it.x + 0, state)


def vmap_of_grad(it):
    weights, state = _parts(it)
    mask = it.call.get("mask")

    def loss(x, weights, u, mask):
        call = it.call if mask is None else {**it.call, "mask": mask[None]}
        y = it.layer.stateless_call(weights, state, x[None] @ it.kernel, **call)[0]
        return jnp.sum(jnp.sin(y) * u[None])

    of_each = jax.vmap(jax.grad(loss, (0, 1)), (0, None, 0, None if mask is None else 0))
    dx, (dgamma, _) = jax.jit(of_each)(it.x, weights, it.u, mask)
    return [dx, dgamma]


def jvp(it):
    return [jax.jit(lambda x, v: jax.jvp(lambda x: _output(it, x), (x,), (v,))[1])(it.x, it.direction)]


def forward_over_reverse(it):
    return [jax.jit(lambda x, v: jax.jvp(jax.grad(lambda x: _loss(it, x)), (x,), (v,))[1])(it.x, it.direction)]


def reverse_over_forward(it):
    def slope(x, v):
        return jax.jvp(lambda x: _loss(it, x), (x,), (v,))[1]

    return [jax.jit(jax.grad(slope))(it.x, it.direction)]


def jacobian_of(transform):
    return lambda it: [jnp.tensordot(jax.jit(transform(lambda x: _output(it, x)))(it.x), it.direction, 4)]


def checkpoint(it):
    return jax.jit(lambda x, state: _step(it, x, state, jax.checkpoint))(it.x, _parts(it)[1])


def remat_scope(it):
    with keras.RematScope(mode="full"):
        layer = type(it.layer).from_config(it.layer.get_config())
        layer.build(it.x.shape)
    layer.set_weights(it.layer.get_weights())
    return jax.jit(lambda x, state: _step_of(it, layer, x, state))(it.x, _values(layer.non_trainable_variables))


def _step_of(it, layer, x, state):
    def loss(x, state):
        y, state = layer.stateless_call(_values(layer.trainable_variables), state, x @ it.kernel, **it.call)
        return jnp.sum(jnp.sin(y) * it.u), state

    dx, state = jax.grad(loss, has_aux=True)(x, state)
    return [dx, *(state if it.subject.training else [])]


def shard_map(it):
    """Both devices hold the whole batch, so that the statistics of batches are those of the whole batch too."""
    mesh = Mesh(np.array(jax.devices()[:2]), ("devices",))
    spec = PartitionSpec()
    of_shard = jax.shard_map(lambda x, state: _step(it, x, state), mesh=mesh, in_specs=(spec, spec), out_specs=spec)
    return jax.jit(of_shard)(it.x, _parts(it)[1])


def data_parallel(it):
    """The sharded batch has a size that the number of devices divides, so each sample is given twice."""
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()[:2]))
    try:
        sharding = jax.sharding.NamedSharding(Mesh(np.array(jax.devices()[:2]), ("batch",)), PartitionSpec("batch"))
        twice = {k: jnp.concatenate([v, v]) if k == "mask" else v for k, v in it.call.items()}
        u = jnp.concatenate([it.u, it.u]) / 2

        def loss(x, state):
            y, state = it.layer.stateless_call(_parts(it)[0], state, x @ it.kernel, **twice)
            return jnp.sum(jnp.sin(y) * u), state

        x = jax.device_put(jnp.concatenate([it.x, it.x]), sharding)
        dx, state = jax.jit(jax.grad(loss, has_aux=True))(x, _parts(it)[1])
        return [dx[: len(it.x)] + dx[len(it.x) :], *(state if it.subject.training else [])]
    finally:
        keras.distribution.set_distribution(None)


TRANSFORMS = {
    "jit of grad": ("gradient", jit_of_grad),
    "jit with donated buffers": ("gradient", donated),
    "vmap of grad": ("per sample", vmap_of_grad),
    "jvp": ("tangent", jvp),
    "forward over reverse": ("hessian", forward_over_reverse),
    "reverse over forward": ("hessian", reverse_over_forward),
    "jacrev": ("tangent", jacobian_of(jax.jacrev)),
    "jacfwd": ("tangent", jacobian_of(jax.jacfwd)),
    "jax.checkpoint": ("gradient", checkpoint),
    "keras.RematScope": ("gradient", remat_scope),
    "shard_map": ("gradient", shard_map),
    "DataParallel": ("gradient", data_parallel),
}
