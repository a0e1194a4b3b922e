"""Sums over the replicas of a distribution strategy."""

import keras

from keras_norms import _tensorflow
from keras_norms._types import Tensor


def check_synchronized(synchronized: bool) -> bool:
    """PyTorch has no replicas that Keras knows of; on JAX, statistics of a sharded batch are global as they are."""
    if synchronized and keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "`synchronized=True` needs the TensorFlow or the JAX backend. "
            f"Received: synchronized=True on the {keras.backend.backend()} backend. Use synchronized=False."
        )
    return synchronized


def sum_over_replicas(value: Tensor) -> Tensor:
    """Sum of value over all replicas; value itself on JAX."""
    return _tensorflow.sum_over_replicas(value) if _tensorflow.is_backend() else value
