"""Activation layers, and the functions of `keras.activations`."""

from .coverage_row import IMAGE, SERIES, VECTOR, VOLUME, rows

_FUNCTIONS = """
activations.celu(x)
activations.celu(x, alpha=0.5)
activations.elu(x)
activations.elu(x, alpha=0.5)
activations.exponential(x)
activations.gelu(x)
activations.gelu(x, approximate=True)
activations.glu(x)
activations.glu(x, axis=1)
activations.hard_shrink(x)
activations.hard_shrink(x, threshold=1.0)
activations.hard_sigmoid(x)
layers.Activation(activations.hard_silu)(x)
activations.hard_tanh(x)
activations.leaky_relu(x)
activations.leaky_relu(x, negative_slope=1.5)
activations.linear(x)
activations.log_sigmoid(x)
activations.log_softmax(x)
activations.log_softmax(x, axis=1)
layers.Activation(activations.mish)(x)
activations.relu(x)
activations.relu(x, negative_slope=0.1)
activations.relu(x, max_value=1.0)
activations.relu(x, threshold=0.5)
activations.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.5)
activations.relu6(x)
activations.selu(x)
activations.sigmoid(x)
activations.silu(x)
activations.soft_shrink(x)
activations.soft_shrink(x, threshold=1.0)
activations.softmax(x)
activations.softmax(x, axis=1)
activations.softplus(x)
activations.softsign(x)
activations.sparse_plus(x)
activations.sparse_sigmoid(x)
layers.Activation(activations.sparsemax)(x)
layers.Activation(lambda t: activations.sparsemax(t, axis=1))(x)
activations.squareplus(x)
activations.squareplus(x, b=1)
activations.tanh(x)
activations.tanh_shrink(x)
activations.threshold(x, 0.5, 2.0)
"""

_LAYERS = """
layers.ELU()(x)
layers.ELU(alpha=0.5)(x)
layers.LeakyReLU()(x)
layers.LeakyReLU(negative_slope=0.1)(x)
layers.ReLU()(x)
layers.ReLU(max_value=6.0)(x)
layers.ReLU(max_value=1.0)(x)
layers.ReLU(negative_slope=0.1)(x)
layers.ReLU(threshold=0.5)(x)
layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.5)(x)
layers.Softmax()(x)
layers.Softmax(axis=1)(x)
layers.Softmax(axis=(1, 2))(x)
layers.Softmax()(x, mask=ops.greater(x, -1.0))
layers.PReLU(alpha_initializer='glorot_uniform')(x)
layers.PReLU(alpha_initializer='glorot_uniform', shared_axes=[1])(x)
"""

_NAMES = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh",
    "tanh_shrink",
]

ROWS = (
    *rows("activations", _FUNCTIONS, x=SERIES),
    *rows("activations", _LAYERS, x=SERIES),
    *rows("activations", "\n".join(f"layers.Activation('{name}')(x)" for name in _NAMES), x=VECTOR),
    *rows("activations", "layers.PReLU('glorot_uniform')(x)", x=VECTOR),
    *rows(
        "activations",
        """
        layers.PReLU(alpha_initializer='glorot_uniform')(x)
        layers.PReLU(alpha_initializer='glorot_uniform', shared_axes=[1, 2])(x)
        activations.glu(x)
        activations.softmax(x, axis=-2)
        layers.Softmax(axis=1)(x)
        """,
        x=IMAGE,
    ),
    *rows("activations", "layers.PReLU(alpha_initializer='glorot_uniform')(x)\nlayers.Softmax()(x)", x=VOLUME),
)
