"""Files of Keras 1, written by hand as its `save` wrote them, and what they compute by NumPy in float64.

Nothing that runs today writes them: classes, arguments and weights are as in Keras 1.2.2's get_config and build.
"""

import json

import h5py
import numpy as np

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.normal(size=shape).astype("float32") / 2


def common(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


REGULARIZED = {"W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1}, "b_regularizer": None}
REGULARIZED |= {"activity_regularizer": None, "W_constraint": None, "b_constraint": None}
DENSE = {"init": "glorot_uniform", "input_dim": None, "bias": True, **REGULARIZED}
RECURRENT = {"init": "glorot_uniform", "inner_init": "orthogonal", "activation": "tanh", "return_sequences": False}
RECURRENT |= {"W_regularizer": None, "U_regularizer": None, "b_regularizer": None, "dropout_W": 0.1, "dropout_U": 0.0}
RECURRENT |= {"go_backwards": False, "stateful": False, "unroll": False, "input_dim": 4, "input_length": 6}
CONV = {"init": "glorot_uniform", "activation": "linear", "border_mode": "valid", "bias": True, **REGULARIZED}


def write(path, layers, weights, shape, dtype="float32", functional=None):
    """A file as Keras 1.2.2 wrote it; weights by layer: a list of (name, array)."""
    layers[0]["config"] |= {"batch_input_shape": [None, *shape], "input_dtype": dtype}
    config = {"class_name": "Sequential", "config": layers} if functional is None else functional
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in layers]
        group.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            part = group.create_group(name)
            part.attrs["weight_names"] = [each.encode() for each, _ in weights.get(name, [])]
            for each, array in weights.get(name, []):
                part[each] = array
    return path


def named(layer, roles, arrays):
    return [(f"{layer}_{role}:0", array) for role, array in zip(roles, arrays, strict=True)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x):
    return np.clip(x / 5 + 0.5, 0, 1)


def convolved(x, kernel, strides=(1, 1), dilation=(1, 1)):
    """Channels last, kernel of (rows, columns, channels, filters), no padding."""
    (rows, columns), (p, q) = kernel.shape[:2], dilation
    height = (x.shape[1] - (rows - 1) * p - 1) // strides[0] + 1
    width = (x.shape[2] - (columns - 1) * q - 1) // strides[1] + 1
    y = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            top, left = i * strides[0], j * strides[1]
            patch = x[:, top : top + rows * p : p, left : left + columns * q : q]
            patch = patch[:, :rows, :columns]
            y[:, i, j] = np.einsum("nhwc,hwcf->nf", patch, kernel)
    return y


def dense():
    w, b = draw(5, 3), draw(3)
    layers = [common("Dense", "d", output_dim=3, activation="hard_sigmoid", **DENSE), common("Dropout", "e", p=0.4)]
    return layers, {"d": named("d", "Wb", (w, b))}, (5,), lambda x: hard_sigmoid(x @ w + b)


def over_time():
    w, b = draw(4, 3), draw(3)
    inner = common("Dense", "d", output_dim=3, activation="linear", **DENSE)
    layers = [common("TimeDistributed", "t", layer=inner), common("TimeDistributedDense", "u", output_dim=2, **DENSE)]
    layers[1]["config"]["activation"] = "linear"
    v, c = draw(3, 2), draw(2)
    weights = {"t": named("d", "Wb", (w, b)), "u": named("u", "Wb", (v, c))}
    return layers, weights, (6, 4), lambda x: (x @ w + b) @ v + c


def over_rows(legacy=False):
    kernel, b = draw(3, 1, 4, 2), draw(2)
    stored = kernel.transpose(3, 2, 0, 1) if legacy else kernel
    options = CONV | {"nb_filter": 2, "filter_length": 3, "subsample_length": 2, "input_dim": 4, "input_length": 6}
    layers = [common("Convolution1D", "c", **options)]
    return (
        layers,
        {"c": named("c", "Wb", (stored, b))},
        (7, 4),
        lambda x: convolved(x[:, :, None], kernel, (2, 1))[:, :, 0] + b,
    )


def images(ordering, theano=False):
    kernel, b = draw(3, 2, 4, 5), draw(5)
    stored = kernel[::-1, ::-1] if theano else kernel
    stored = stored.transpose(3, 2, 0, 1) if ordering == "th" else stored
    options = CONV | {"nb_filter": 5, "nb_row": 3, "nb_col": 2, "subsample": [2, 1], "dim_ordering": ordering}
    layers = [common("Convolution2D", "c", **options)]
    weights = named("c", "Wb", (stored, b))
    if theano:
        weights = [(name.partition(":")[0], array) for name, array in weights]
    shape = (4, 8, 8) if ordering == "th" else (8, 8, 4)

    def compute(x):
        y = convolved(x.transpose(0, 2, 3, 1) if ordering == "th" else x, kernel, (2, 1)) + b
        return y.transpose(0, 3, 1, 2) if ordering == "th" else y

    return layers, {"c": weights}, shape, compute


def holes():
    kernel, b = draw(2, 2, 4, 3), draw(3)
    options = CONV | {"nb_filter": 3, "nb_row": 2, "nb_col": 2, "subsample": [1, 1], "dim_ordering": "tf"}
    layers = [common("AtrousConvolution2D", "c", atrous_rate=[2, 2], **options)]
    weights = {"c": named("c", "Wb", (kernel, b))}
    return layers, weights, (8, 8, 4), lambda x: convolved(x, kernel, dilation=(2, 2)) + b


def enlarged():
    """Keras 1 stored the kernel of a transposed convolution as that of a convolution, and its output's shape."""
    kernel, b = draw(2, 2, 4, 3), draw(3)
    options = CONV | {"nb_filter": 3, "nb_row": 2, "nb_col": 2, "subsample": [2, 2], "dim_ordering": "tf"}
    layers = [common("Deconvolution2D", "c", output_shape=[None, 16, 16, 3], **options)]

    def compute(x):
        y = np.einsum("nhwc,ijcf->nhiwjf", x, kernel)
        return y.reshape(len(x), 16, 16, 3) + b

    return layers, {"c": named("c", "Wb", (kernel, b))}, (8, 8, 4), compute


def shapes():
    pool = {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"}
    layers = [
        common("ZeroPadding2D", "z", padding=[1, 0], dim_ordering="tf"),
        common("ZeroPadding2D", "y", padding={"top_pad": 0, "bottom_pad": 2, "left_pad": 0, "right_pad": 2}),
        common("MaxPooling2D", "p", **pool),
        common("AveragePooling2D", "q", **pool),
        common("UpSampling2D", "u", size=[2, 2], dim_ordering="tf"),
        common("Flatten", "f"),
    ]
    layers[1]["config"]["dim_ordering"] = "tf"

    def compute(x):
        x = np.pad(x, ((0, 0), (1, 3), (0, 2), (0, 0)))
        x = x.reshape(len(x), 6, 2, 4, 2, 2).max(axis=(2, 4))
        x = x.reshape(len(x), 3, 2, 2, 2, 2).mean(axis=(2, 4))
        return x.repeat(2, axis=1).repeat(2, axis=2).reshape(len(x), -1)

    return layers, {}, (8, 6, 2), compute


def rows():
    layers = [
        common("ZeroPadding1D", "z", padding=1),
        common("MaxPooling1D", "p", pool_length=2, stride=2, border_mode="valid"),
        common("UpSampling1D", "u", length=3),
        common("GlobalAveragePooling1D", "g"),
        common("GaussianNoise", "n", sigma=0.3),
        common("RepeatVector", "r", n=2),
    ]

    def compute(x):
        x = np.pad(x, ((0, 0), (1, 1), (0, 0))).reshape(len(x), 4, 2, 4).max(axis=2)
        return np.repeat(x.mean(axis=1)[:, None], 2, axis=1)

    return layers, {}, (6, 4), compute


def norm():
    gamma, beta, mean, variance = draw(4), draw(4), draw(4), np.abs(draw(4)) + 0.5
    options = {"epsilon": 0.01, "mode": 0, "axis": -1, "gamma_regularizer": None, "beta_regularizer": None}
    layers = [common("BatchNormalization", "b", momentum=0.99, **options)]
    weights = {"b": named("b", ("gamma", "beta", "running_mean", "running_std"), (gamma, beta, mean, variance))}
    return layers, weights, (6, 4), lambda x: (x - mean) / np.sqrt(variance + 0.01) * gamma + beta


def recurrent(kind, x, gate, weights):
    """The last state of a layer over x: weights are {gate: (W, U, b)}."""
    units = next(iter(weights.values()))[1].shape[0]
    h, c = np.zeros((len(x), units)), np.zeros((len(x), units))
    for t in range(x.shape[1]):

        def of(name, state, t=t):
            w, u, b = weights[name]
            return x[:, t] @ w + state @ u + b

        if kind == "SimpleRNN":
            h = np.tanh(of("h", h))
        elif kind == "LSTM":
            i, f, o = (gate(of(name, h)) for name in "ifo")
            c = f * c + i * np.tanh(of("c", h))
            h = o * np.tanh(c)
        else:
            z, r = gate(of("z", h)), gate(of("r", h))
            w, u, b = weights["h"]
            h = z * h + (1 - z) * np.tanh(x[:, t] @ w + (r * h) @ u + b)
    return h


GATES = {"LSTM": "icfo", "GRU": "zrh", "SimpleRNN": "h"}  # in the order in which Keras 1 stored them


def gated(kind, inner="hard_sigmoid", joined=False):
    weights = {gate: (draw(4, 3), draw(3, 3), draw(3)) for gate in GATES[kind]}
    options = RECURRENT | {"output_dim": 3, "consume_less": "gpu" if joined else "cpu"}
    if kind != "SimpleRNN":
        options["inner_activation"] = inner
    if kind == "LSTM":
        options["forget_bias_init"] = "one"
    arrays = [
        (f"r_{part}_{gate}:0", array) for gate in weights for part, array in zip("WUb", weights[gate], strict=True)
    ]
    if joined:
        order = "ifco" if kind == "LSTM" else GATES[kind]
        parts = [np.concatenate([weights[gate][part] for gate in order], axis=-1) for part in range(3)]
        arrays = named("r", "WUb", parts)
    gate = hard_sigmoid if inner == "hard_sigmoid" else sigmoid
    return [common(kind, "r", **options)], {"r": arrays}, (6, 4), lambda x: recurrent(kind, x, gate, weights)


def both_ways():
    (layer,), weights, shape, forward = gated("LSTM")
    (other,), more, _, backward = gated("LSTM")
    assert layer["config"] == other["config"]
    arrays = [(f"forward_{name}", array) for name, array in weights["r"]]
    arrays += [(f"backward_{name}", array) for name, array in more["r"]]
    layers = [common("Bidirectional", "both", merge_mode="concat", layer=layer)]
    return (
        layers,
        {"both": arrays},
        shape,
        lambda x: np.concatenate([forward(x), backward(x[:, ::-1])], axis=-1),
    )


def words():
    table = draw(7, 3)
    options = {
        "input_dim": 7,
        "output_dim": 3,
        "init": "uniform",
        "input_length": 5,
        "mask_zero": False,
        "dropout": 0.0,
    }
    options |= {"activity_regularizer": None, "W_regularizer": None, "W_constraint": None}
    layers = [common("Embedding", "e", **options), common("Flatten", "f")]
    return layers, {"e": named("e", "W", (table,))}, (5,), lambda x: table[x].reshape(len(x), -1)


CASES = {
    "Dense": dense,
    "TimeDistributed": over_time,
    "Convolution1D": over_rows,
    "Convolution1D before 1.1": lambda: over_rows(legacy=True),
    "Convolution2D, tf": lambda: images("tf"),
    "Convolution2D, th": lambda: images("th"),
    "Convolution2D, th, of Theano": lambda: images("th", theano=True),
    "Convolution2D, tf, of Theano": lambda: images("tf", theano=True),
    "AtrousConvolution2D": holes,
    "Deconvolution2D": enlarged,
    "shapes": shapes,
    "rows": rows,
    "BatchNormalization": norm,
    "LSTM": lambda: gated("LSTM"),
    "LSTM, consume_less=gpu": lambda: gated("LSTM", joined=True),
    "LSTM, sigmoid": lambda: gated("LSTM", inner="sigmoid"),
    "GRU": lambda: gated("GRU"),
    "GRU, consume_less=gpu": lambda: gated("GRU", joined=True),
    "SimpleRNN": lambda: gated("SimpleRNN"),
    "Bidirectional": both_ways,
    "Embedding": words,
}


def inputs(shape, case):
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")
    return np.abs(x * 3).astype("int32") % 7 if case == "Embedding" else x
