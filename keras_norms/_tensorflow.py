"""Questions to TensorFlow. It is imported here and in _tensorflow_*.py only, and only when its backend computes."""

import keras

from keras_norms._types import Tensor


def is_backend() -> bool:
    return bool(keras.backend.backend() == "tensorflow")


def compiled_by_xla() -> bool:
    """Whether XLA compiles the function being traced: it fuses arithmetic and expands TensorFlow's fused kernels."""
    import tensorflow as tf

    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return bool(GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


def takes_any_kernel() -> bool:
    """Whether every kernel of TensorFlow will do: a gradient is recorded, so this is no export, and not by XLA."""
    try:
        from tensorflow.python.eager.record import could_possibly_record
    except ImportError:
        return False
    return bool(could_possibly_record()) and not compiled_by_xla()


def sum_over_replicas(value: Tensor) -> Tensor:
    """Sum of value over all replicas; value itself outside of a replica context."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, tf.convert_to_tensor(value))
