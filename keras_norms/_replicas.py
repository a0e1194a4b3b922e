"""Sums over the replicas of a distribution strategy."""

import keras

from keras_norms import _tensorflow
from keras_norms._types import Tensor


def check_one_width(synchronized: bool, virtual_batch_size: int | None) -> None:
    """Check that statistics are not both widened and narrowed.

    Raises:
        ValueError: If they are.
    """
    if synchronized and virtual_batch_size is not None:
        raise ValueError(
            "`synchronized` widens the statistics to all replicas, `virtual_batch_size` narrows them to a slice. "
            f"Received: synchronized=True, virtual_batch_size={virtual_batch_size}. Use one of the two."
        )


def check_synchronized(synchronized: bool) -> bool:
    """Refuses True on PyTorch, where Keras has no replicas. On JAX, statistics of a sharded batch are always global.

    Raises:
        ValueError: If statistics are to be synchronized on a backend other than TensorFlow and JAX.
    """
    if synchronized and keras.backend.backend() not in ("tensorflow", "jax"):
        raise ValueError(
            "`synchronized=True` needs the TensorFlow or the JAX backend. "
            f"Received: synchronized=True on the {keras.backend.backend()} backend. Use synchronized=False."
        )
    return synchronized


def sum_over_replicas(value: Tensor) -> Tensor:
    """The sum of value over all replicas. On JAX this is value itself."""
    return _tensorflow.sum_over_replicas(value) if _tensorflow.is_backend() else value
