"""The transforms of TensorFlow, for transforms.py: each takes a Given and returns arrays."""

import keras
import tensorflow as tf
from transforms import statistics


def _output(it, x):
    return it.layer(x @ it.kernel, **it.call)


def _loss(it, x):
    return tf.reduce_sum(tf.sin(_output(it, x)) * it.u)


def _gradient(it, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = _loss(it, x)
    return tape.gradient(loss, x)


def eager_gradient(it):
    return [_gradient(it, it.x), *statistics_if_trained(it)]


def statistics_if_trained(it):
    return statistics(it.layer) if it.subject.training else []


def compiled_gradient(jit):
    def run(it):
        return [tf.function(lambda x: _gradient(it, x), jit_compile=jit)(it.x), *statistics_if_trained(it)]

    return run


def free_shapes(it):
    """No size but that of the channels is known."""
    axis = it.layer.axis if isinstance(it.layer.axis, int) else it.layer.axis[0]
    shape = [None] * 4
    shape[axis] = it.x.shape[axis]
    shape[-1] = it.x.shape[-1]
    signature = [tf.TensorSpec(shape, "float32")]
    return [tf.function(lambda x: _gradient(it, x), input_signature=signature)(it.x), *statistics_if_trained(it)]


def nested_under_xla(it):
    """The inner function is first traced on its own, without XLA."""
    inner = tf.function(lambda x: _gradient(it, x))
    before = [v.numpy() for v in it.layer.variables]
    inner(it.x)
    for variable, value in zip(it.layer.variables, before, strict=True):
        variable.assign(value)
    return [tf.function(lambda x: inner(x) + 0.0, jit_compile=True)(it.x), *statistics_if_trained(it)]


def vectorized_map(it):
    weights, state = it.layer.trainable_variables, it.layer.non_trainable_variables
    trainable, fixed = ([tf.convert_to_tensor(v.value) for v in vs] for vs in (weights, state))
    mask = it.call.get("mask")

    def of_sample(given):
        x, u, *masks = given
        call = it.call if mask is None else {**it.call, "mask": masks[0][None]}
        with tf.GradientTape() as tape:
            tape.watch([x, *trainable])
            y, _ = it.layer.stateless_call(trainable, fixed, x[None] @ it.kernel, **call)
            loss = tf.reduce_sum(tf.sin(y) * u[None])
        gradients = tape.gradient(loss, [x, *trainable])
        return gradients[0], gradients[1]

    return tf.vectorized_map(of_sample, (it.x, it.u) if mask is None else (it.x, it.u, mask))


def _tangent(it, x):
    with tf.autodiff.ForwardAccumulator(x, it.direction) as accumulator:
        y = _output(it, x)
    return accumulator.jvp(y)


def forward_mode(it):
    return [_tangent(it, it.x)]


def forward_mode_in_a_function(it):
    return [tf.function(lambda x: _tangent(it, x))(it.x)]


def forward_mode_round_a_function(it):
    function = tf.function(lambda x: _output(it, x))
    with tf.autodiff.ForwardAccumulator(it.x, it.direction) as accumulator:
        y = function(it.x)
    return [accumulator.jvp(y)]


def _forward_over_reverse(it, x):
    with tf.autodiff.ForwardAccumulator(x, it.direction) as accumulator:
        gradient = _gradient(it, x)
    return accumulator.jvp(gradient)


def forward_over_reverse(it):
    return [_forward_over_reverse(it, it.x)]


def forward_over_reverse_in_a_function(it):
    return [tf.function(lambda x: _forward_over_reverse(it, x))(it.x)]


def _reverse_over_reverse(it, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        along = tf.reduce_sum(_gradient(it, x) * it.direction)
    return tape.gradient(along, x)


def reverse_over_reverse(jit):
    return lambda it: [tf.function(lambda x: _reverse_over_reverse(it, x), jit_compile=jit)(it.x)]


def jacobian(it):
    with tf.GradientTape() as tape:
        tape.watch(it.x)
        y = _output(it, it.x)
    return [tf.tensordot(tape.jacobian(y, it.x), it.direction, 4)]


def remat_scope(it):
    with keras.RematScope(mode="full"):
        layer = type(it.layer).from_config(it.layer.get_config())
        layer.build(it.x.shape)
    layer.set_weights(it.layer.get_weights())
    with tf.GradientTape() as tape:
        tape.watch(it.x)
        loss = tf.reduce_sum(tf.sin(layer(it.x @ it.kernel, **it.call)) * it.u)
    return [tape.gradient(loss, it.x), *(statistics(layer) if it.subject.training else [])]


TRANSFORMS = {
    "GradientTape": ("gradient", eager_gradient),
    "GradientTape in tf.function": ("gradient", compiled_gradient(False)),
    "GradientTape under XLA": ("gradient", compiled_gradient(True)),
    "tf.function with free shapes": ("gradient", free_shapes),
    "tf.function nested under XLA": ("gradient", nested_under_xla),
    "tf.vectorized_map of a gradient": ("per sample", vectorized_map),
    "ForwardAccumulator": ("tangent", forward_mode),
    "ForwardAccumulator in tf.function": ("tangent", forward_mode_in_a_function),
    "ForwardAccumulator round tf.function": ("tangent", forward_mode_round_a_function),
    "forward over reverse": ("hessian", forward_over_reverse),
    "forward over reverse in tf.function": ("hessian", forward_over_reverse_in_a_function),
    "reverse over reverse in tf.function": ("hessian", reverse_over_reverse(False)),
    "reverse over reverse under XLA": ("hessian", reverse_over_reverse(True)),
    "GradientTape.jacobian": ("tangent", jacobian),
    "keras.RematScope": ("gradient", remat_scope),
}
