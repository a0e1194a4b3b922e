"""Questions to TensorFlow. It is imported here and in _tensorflow_*.py only, and only when its backend computes."""

import keras


def is_backend():
    return keras.backend.backend() == "tensorflow"


def compiled_by_xla():
    """Whether XLA compiles the function being traced: it fuses arithmetic and expands TensorFlow's fused kernels."""
    import tensorflow as tf

    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def sum_over_replicas(value):
    """Sum of value over all replicas; value itself outside of a replica context."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, tf.convert_to_tensor(value))
