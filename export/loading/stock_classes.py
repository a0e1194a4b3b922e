"""Which classes the writer of a file had of its own: a layer of another class is the user's, whatever its name.

A class of the user's called `LayerNormalization` in a file of Keras 2.2 has arithmetic of its own. Neither Keras 3 nor
tf_keras would notice: both have a class of this name.
"""

from __future__ import annotations

from ..errors import ExportError
from .config_tree import Entry, name_of
from .translations.norms_of_others import OF_USER
from .writer import Writer

# Class: the first version of tf.keras that had it, or an earlier one where that is not certain (such a class must then
# show itself by its config, below). Standalone Keras, up to 2.3, had none of these.
_SINCE: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("LayerNormalization", "Attention", "AdditiveAttention"), (2, 2)),
    **dict.fromkeys(("TextVectorization", "Normalization", "Discretization", "CategoryEncoding", "Hashing"), (2, 2)),
    **dict.fromkeys(("StringLookup", "IntegerLookup", "HashedCrossing", "Rescaling", "Resizing", "CenterCrop"), (2, 2)),
    **dict.fromkeys(("MultiHeadAttention", "EinsumDense", "Conv1DTranspose"), (2, 3)),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM3D"), (2, 5)),
    **{"DepthwiseConv1D": (2, 7), "Identity": (2, 8), "UnitNormalization": (2, 9)},
    **dict.fromkeys(("LayerScale", "StochasticDepth"), (2, 10)),
    **{"GroupNormalization": (2, 11), "CustomScaleLayer": (2, 12), "SpectralNormalization": (2, 13)},
    **dict.fromkeys(("RMSNormalization", "GroupQueryAttention", "ReversibleEmbedding", "MelSpectrogram"), (3, 0)),
    **dict.fromkeys(("STFTSpectrogram", "Equalization", "Solarization", "AutoContrast", "Pipeline"), (3, 0)),
    **{f"Adaptive{kind}Pooling{n}D": (3, 0) for kind in ("Average", "Max") for n in (1, 2, 3)},
}
# What the class of Keras 2 always writes into its config; a class of the user's without get_config does not.
_WRITES: dict[str, frozenset[str]] = {
    "BatchNormalization": frozenset(("axis", "momentum", "epsilon", "center", "scale")),
    "LayerNormalization": frozenset(("axis", "epsilon", "center", "scale")),
    "GroupNormalization": frozenset(("groups", "axis", "epsilon", "center", "scale")),
    "UnitNormalization": frozenset(("axis",)),
    "Attention": frozenset(("use_scale",)),
    "AdditiveAttention": frozenset(("use_scale",)),
    "MultiHeadAttention": frozenset(("num_heads", "key_dim")),
    "SpectralNormalization": frozenset(("layer", "power_iterations")),
    "EinsumDense": frozenset(("equation", "output_shape")),
    "Rescaling": frozenset(("scale", "offset")),
    "Resizing": frozenset(("height", "width", "interpolation")),
    "CenterCrop": frozenset(("height", "width")),
    "Hashing": frozenset(("num_bins",)),
    "Softmax": frozenset(("axis",)),
    # Layers of keras.applications, which files before Keras 2.13 and every .h5 name without a module.
    "LayerScale": frozenset(("init_values", "projection_dim")),
    "StochasticDepth": frozenset(("drop_path_rate",)),
    "CustomScaleLayer": frozenset(("scale",)),
}
_OF_EVERY_LAYER = {"name", "trainable", "dtype", "batch_input_shape", "dynamic"}
# These have nothing else in their config: another key says that the class is somebody else's.
_WRITES_NO_MORE = ("LayerScale", "StochasticDepth", "CustomScaleLayer", "Identity")


def refuse_classes_of_the_user(entry: Entry, writer: Writer) -> None:
    """Refuse a layer that only has the name of a stock class, unless the user gives its class.

    Raises:
        ExportError: If its writer had no such class, or if its config is not as the stock class writes it.
    """
    name = entry["class_name"]
    if entry.get(OF_USER) or name != entry.get("file_class"):
        return
    plain = name.removeprefix("Custom>")
    since = _SINCE.get(plain)
    written = _WRITES.get(plain, frozenset())
    missing = sorted(written - set(entry["config"]))
    more = sorted(set(entry["config"]) - written - _OF_EVERY_LAYER) if plain in _WRITES_NO_MORE else []
    missing, more = (missing, more) if writer.major == 2 else ([], [])
    if since is not None and (writer.standalone or writer.before(*since)):
        why = f"{writer.name} had no class of this name"
    elif missing:
        why = f"its config has no {missing[0]}, which that of Keras' own always has"
    elif more:
        why = f"its config has {more[0]}, which that of Keras' own never has"
    else:
        return
    raise ExportError(
        f"layer '{name_of(entry)}' is a {name} of the writer's own: {why}, and the file does not say what it computes. "
        f"Pass its class, custom_objects={{'{name}': the class}} (--import FILE.py on the command)"
    )
