"""Sums over the replicas of a distribution strategy."""

import keras
from keras import ops


def check_synchronized(synchronized):
    """PyTorch has no replicas that Keras knows of; on JAX, statistics of a sharded batch are global as they are."""
    if synchronized and keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "`synchronized=True` needs the TensorFlow or the JAX backend. "
            f"Received: synchronized=True on the {keras.backend.backend()} backend. Use synchronized=False."
        )
    return synchronized


def sum_over_replicas(value):
    """Sum of value over all replicas; value itself outside of a replica context and on JAX."""
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, ops.convert_to_tensor(value))
