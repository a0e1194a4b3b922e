"""What has to be asked of TensorFlow. Only this file and _tensorflow_*.py import it, and only if it is the backend."""

from collections.abc import Callable

import keras

from keras_norms._types import Tensor, Variable


def is_backend() -> bool:
    return bool(keras.backend.backend() == "tensorflow")


def takes(x: Tensor, *weights: Variable | None) -> bool:
    """Whether the functions with kernels and gradients of their own can be used for x: TensorFlow is the backend, and
    neither does forward mode pass through, nor does tf.vectorized_map trace: those need single operations."""
    return is_backend() and not (_in_vectorized_map() or _has_tangent(x, *weights))


def _has_tangent(*values: Tensor | Variable | None) -> bool:
    """Whether a tf.autodiff.ForwardAccumulator carries a tangent of one of the values."""
    import tensorflow as tf

    try:
        from tensorflow.python.eager.forwardprop_util import pack_tangents
    except ImportError:
        return False
    return bool(pack_tangents([tf.convert_to_tensor(v) for v in values if v is not None]).tangents)


def _in_vectorized_map() -> bool:
    """Whether the graph is the body that tf.vectorized_map converts: TensorFlow traces it in a scope of its own."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if any(scope.startswith("loop_body") for scope in graph.get_name_scope().split("/")):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def compiled_by_xla() -> bool:
    """Whether XLA compiles the function being traced: it fuses arithmetic and expands TensorFlow's fused kernels."""
    import tensorflow as tf

    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return bool(GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


def is_recorded() -> bool:
    """Whether this call may be part of a gradient. If not, and only then, an exporter may be tracing it."""
    import tensorflow as tf

    return tf.executing_eagerly() or _tape_is_active()


def takes_any_kernel() -> bool:
    """Whether any kernel of TensorFlow may be used: a gradient is recorded, so no export traces this, nor does XLA."""
    return _tape_is_active() and not compiled_by_xla()


def _tape_is_active() -> bool:
    try:
        from tensorflow.python.eager.record import could_possibly_record
    except ImportError:
        return False
    return bool(could_possibly_record())


def on_any_device(kernel: Callable[[], Tensor], elsewhere: Callable[[], Tensor]) -> Tensor:
    """kernel(), and elsewhere() if XLA compiles a function that was traced without it: XLA lacks some kernels."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return kernel()
    # XLA knows this index as it compiles, and compiles only the branch that it will run.
    device = tf.raw_ops.DeviceIndex(device_names=["CPU", "GPU"])
    return tf.switch_case(device, {0: kernel, 1: kernel}, default=elsewhere)


def sum_over_replicas(value: Tensor) -> Tensor:
    """The sum of value over all replicas. Outside of a replica context this is value itself."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, tf.convert_to_tensor(value))
