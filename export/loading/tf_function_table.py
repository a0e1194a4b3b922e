"""Which operation of Keras 3 computes what a function of TensorFlow does, for those that Keras 2 made layers of."""

from __future__ import annotations

from dataclasses import dataclass, field

_NUMPY, _NN, _MATH = "keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.math"


@dataclass(frozen=True)
class Operation:
    """An operation of Keras 3: its module and class.

    `argument` is its name for the second tensor of the TensorFlow function, `y` or `b`; `options` are its names for
    options.
    """

    module: str
    name: str
    argument: str | None = None
    options: dict[str, str] = field(default_factory=dict)


_REDUCED = {"axis": "axis", "keepdims": "keepdims"}

# The function as Keras 2 writes it, below `tf.`. Only what is here is read, and given to tf_keras for the proof.
FUNCTIONS: dict[str, Operation] = {
    "math.add": Operation(_NUMPY, "Add", "x2"),
    "__operators__.add": Operation(_NUMPY, "Add", "x2"),
    "math.subtract": Operation(_NUMPY, "Subtract", "x2"),
    "math.multiply": Operation(_NUMPY, "Multiply", "x2"),
    "math.truediv": Operation(_NUMPY, "TrueDivide", "x2"),
    "math.divide": Operation(_NUMPY, "TrueDivide", "x2"),
    "math.maximum": Operation(_NUMPY, "Maximum", "x2"),
    "math.minimum": Operation(_NUMPY, "Minimum", "x2"),
    "math.pow": Operation(_NUMPY, "Power", "x2"),
    "math.negative": Operation(_NUMPY, "Negative"),
    "math.square": Operation(_NUMPY, "Square"),
    "math.sqrt": Operation(_NUMPY, "Sqrt"),
    "math.exp": Operation(_NUMPY, "Exp"),
    "math.log": Operation(_NUMPY, "Log"),
    "math.abs": Operation(_NUMPY, "Absolute"),
    "math.tanh": Operation(_NUMPY, "Tanh"),
    "math.sigmoid": Operation(_NN, "Sigmoid"),
    "nn.relu": Operation(_NN, "Relu"),
    "nn.relu6": Operation(_NN, "Relu6"),
    "nn.softmax": Operation(_NN, "Softmax", options={"axis": "axis"}),
    "nn.silu": Operation(_NN, "Silu"),
    "nn.elu": Operation(_NN, "Elu"),
    "nn.selu": Operation(_NN, "Selu"),
    "nn.leaky_relu": Operation(_NN, "LeakyRelu", options={"alpha": "negative_slope"}),
    "nn.gelu": Operation(_NN, "Gelu", options={"approximate": "approximate"}),
    "math.softplus": Operation(_NN, "Softplus"),
    "math.l2_normalize": Operation(_NN, "Normalize", options={"axis": "axis"}),
    "math.rsqrt": Operation(_MATH, "Rsqrt"),
    "linalg.matmul": Operation(_NUMPY, "Matmul", "x2"),
    "math.reduce_mean": Operation(_NUMPY, "Mean", options=_REDUCED),
    "math.reduce_sum": Operation(_NUMPY, "Sum", options=_REDUCED),
    "math.reduce_max": Operation(_NUMPY, "Max", options=_REDUCED),
    "math.reduce_min": Operation(_NUMPY, "Min", options=_REDUCED),
    "concat": Operation(_NUMPY, "Concatenate", options={"axis": "axis"}),
    "stack": Operation(_NUMPY, "Stack", options={"axis": "axis"}),
    "expand_dims": Operation(_NUMPY, "ExpandDims", options={"axis": "axis"}),
    "compat.v1.squeeze": Operation(_NUMPY, "Squeeze", options={"axis": "axis"}),
    "squeeze": Operation(_NUMPY, "Squeeze", options={"axis": "axis"}),
    "reshape": Operation(_NUMPY, "Reshape", options={"shape": "newshape"}),
    "compat.v1.transpose": Operation(_NUMPY, "Transpose", options={"perm": "axes"}),
    "transpose": Operation(_NUMPY, "Transpose", options={"perm": "axes"}),
}
SLICE = "__operators__.getitem"
# Operation of TensorFlow in a graph: the function that makes it.
OPERATIONS = {
    **{"Add": "math.add", "AddV2": "math.add", "BiasAdd": "math.add", "Sub": "math.subtract", "Mul": "math.multiply"},
    **{"RealDiv": "math.truediv", "Maximum": "math.maximum", "Minimum": "math.minimum", "Pow": "math.pow"},
    **{"Neg": "math.negative", "Square": "math.square", "Sqrt": "math.sqrt", "Exp": "math.exp", "Log": "math.log"},
    **{"Abs": "math.abs", "Tanh": "math.tanh", "Sigmoid": "math.sigmoid", "Relu": "nn.relu", "Relu6": "nn.relu6"},
    **{"Elu": "nn.elu", "Softmax": "nn.softmax", "Mean": "math.reduce_mean", "Sum": "math.reduce_sum"},
    **{"Max": "math.reduce_max", "Min": "math.reduce_min", "ConcatV2": "concat", "Pack": "stack"},
    **{"ExpandDims": "expand_dims", "Squeeze": "squeeze", "Reshape": "reshape", "Transpose": "transpose"},
}
