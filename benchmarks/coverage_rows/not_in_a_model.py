"""The public names of Keras that are no row, and why."""

_ABSTRACT = "a base class: what derives from it is exported by what it does"
_CONSTANT = "makes a constant out of numbers: the model holds the constant"
_PYTHON = "gives a Python value, not a tensor that a model could hold"
_REGISTRY = "turns names and configurations into functions, not tensors into tensors"
_KERAS_CANNOT = "Keras does not build it into a functional model: "
_PREDICT_FAILS = "Keras' own `model.predict` fails with it on the TensorFlow backend"
_GRADIENT = "takes a function of tensors, which Keras cannot call with the symbolic tensors of a model"

LAYERS = {
    "FlaxLayer": "its code is of Flax: it needs the JAX backend",
    "Input": "makes an input; every row has one",
    "InputLayer": "an input; every row has one",
    "InputSpec": "describes what a layer takes; not a layer",
    "JaxLayer": "its code is of JAX, which jax2tf would have to translate",
    "Layer": _ABSTRACT,
    "MaxNumBoundingBoxes": "takes and gives a dictionary of boxes for training data, and no tensor of a model",
    "TFSMLayer": "wraps a SavedModel; `keras-norms export saved_model/ --signature` exports the same function",
    "TorchModuleWrapper": "its code is of PyTorch: it needs the PyTorch backend",
    "Wrapper": _ABSTRACT,
    "deserialize": _REGISTRY,
    "serialize": _REGISTRY,
}

ACTIVATIONS = {"deserialize": _REGISTRY, "get": _REGISTRY, "serialize": _REGISTRY}

OPS = {
    "arange": _CONSTANT,
    "argpartition": _PREDICT_FAILS,
    "bartlett": _CONSTANT,
    "blackman": _CONSTANT,
    "conv_transpose": _PREDICT_FAILS,
    "convert_to_numpy": _PYTHON,
    "corrcoef": _PREDICT_FAILS,
    "custom_gradient": _GRADIENT,
    "dtype": _PYTHON,
    "empty": _CONSTANT,
    "empty_like": "its values are not defined",
    "eye": _CONSTANT,
    "full": _CONSTANT,
    "hamming": _CONSTANT,
    "hanning": _CONSTANT,
    "histogram": _PREDICT_FAILS,
    "identity": _CONSTANT,
    "image.elastic_transform": "draws at random at each call",
    "isin": _PREDICT_FAILS,
    "is_tensor": _PYTHON,
    "jvp": _GRADIENT,
    "kaiser": _CONSTANT,
    "nanpercentile": _PREDICT_FAILS,
    "nanquantile": _PREDICT_FAILS,
    "ndim": _PYTHON,
    "ones": _CONSTANT,
    "shape": "gives a tuple; what a model does with free sizes is in the rows of free sizes",
    "size": "gives a number of elements that only a model of fixed sizes knows, and then as a constant",
    "tri": _CONSTANT,
    "vectorize": _KERAS_CANNOT + "the TensorFlow backend has none",
    "view_as_complex": _PREDICT_FAILS,
    "zeros": _CONSTANT,
}
