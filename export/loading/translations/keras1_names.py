"""Classes and arguments by their names in Keras 1: `Convolution2D(nb_filter, nb_row, nb_col, border_mode, subsample)`.

What was made of them is by the rules of Keras 2.0, which read such files (its `legacy/interfaces.py`). Initializers,
regularizers and constraints go: they say nothing once weights are loaded. The weights are turned in keras1_weights.py.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer

_CLASSES = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": f"Conv{n}D" for n in (1, 2)},
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
# Argument of Keras 1: argument of Keras 2, in the classes that match.
_RENAMED: tuple[tuple[str, dict[str, str]], ...] = (
    (r"Dense|SimpleRNN|LSTM|GRU", {"output_dim": "units"}),
    (r"(Conv|SeparableConv|LocallyConnected|ConvLSTM)\dD(Transpose)?", {"nb_filter": "filters"}),
    (r"Conv1D", {"filter_length": "kernel_size", "subsample_length": "strides"}),
    (r"\w*(Conv|LocallyConnected|ConvLSTM)\w*", {"subsample": "strides", "atrous_rate": "dilation_rate"}),
    (r"(Max|Average)Pooling1D", {"pool_length": "pool_size", "stride": "strides"}),
    (r"UpSampling1D", {"length": "size"}),
    (r"SimpleRNN|LSTM|GRU|ConvLSTM2D", {"dropout_W": "dropout", "dropout_U": "recurrent_dropout"}),
    (r"LSTM|GRU|ConvLSTM2D", {"inner_activation": "recurrent_activation"}),
    (r"\w*Dropout(\dD)?", {"p": "rate"}),
    (r"GaussianNoise", {"sigma": "stddev"}),
    (r"\w+", {"border_mode": "padding", "bias": "use_bias"}),
)
_SIZES = ("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")
_IN_TRAINING = re.compile(r"(\w+_)?init|([WUb]|gamma|beta|activity|depthwise|pointwise)_(regularizer|constraint)")
_OF_TIME = ("consume_less", "input_dim", "input_length", "input_dtype")  # how it computed; what the input layer says
_ORDERINGS = {"th": "channels_first", "tf": "channels_last"}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot"}


def apply(entry: Entry, writer: Writer) -> bool:
    """Give the classes and arguments of one layer their names in Keras 2."""
    config = entry["config"]
    if not isinstance(config, dict) or ("layers" in config and entry["class_name"] != "Merge"):
        return False
    before = entry["class_name"], dict(config)
    if entry["class_name"] == "InputLayer":
        config["dtype"] = config.pop("input_dtype", None) or "float32"
    elif entry["class_name"] == "Merge":
        _merge(entry, config)
    else:
        _layer(entry, config)
    return before != (entry["class_name"], config)


def _layer(entry: Entry, config: dict[str, Any]) -> None:
    kind = str(_CLASSES.get(entry["class_name"], entry["class_name"]))
    entry["class_name"] = kind
    embedding = kind == "Embedding"
    for key in list(config):
        gone = _IN_TRAINING.fullmatch(key) or (key in _OF_TIME and not embedding)
        if gone or (embedding and key in ("dropout", "input_dtype")):
            del config[key]
    for classes, names in _RENAMED:
        if re.fullmatch(classes, kind):
            for old in [old for old in names if old in config]:
                config[names[old]] = config.pop(old)
    for names_of_sizes in _SIZES:
        if names_of_sizes[0] in config:
            config["kernel_size"] = [config.pop(key) for key in names_of_sizes]
    if "dim_ordering" in config:
        config["data_format"] = _ORDERINGS[config.pop("dim_ordering")]
    _values(entry, kind, config)


def _values(entry: Entry, kind: str, config: dict[str, Any]) -> None:
    """What has another form or another default."""
    if kind == "Conv2DTranspose" and "output_shape" in config:
        entry["stated_output"] = config.pop("output_shape")
    if kind == "Flatten":
        config["data_format"] = "channels_last"  # in the order in which the numbers stand
    if kind in ("ZeroPadding1D", "ZeroPadding2D") and "padding" in config:
        config["padding"] = _sides(config["padding"], name_of(entry))
    if kind == "BatchNormalization" and config.get("mode", 0) != 0:
        raise ExportError(
            f"layer '{name_of(entry)}' normalizes with mode={config['mode']}: the statistics of its own input or "
            "batch, in inference too, as no layer of Keras 3 does"
        )


def _sides(padding: Any, name: str) -> Any:
    """Padding of one number a side, of pairs, or by the names of the sides."""
    if isinstance(padding, dict):
        rows = [padding.get("top_pad", 0), padding.get("bottom_pad", 0)]
        columns = [padding.get("left_pad", 0), padding.get("right_pad", 0)]
        return [rows, columns] if "top_pad" in padding or "bottom_pad" in padding else columns
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    if isinstance(padding, (int, list)):
        return padding
    raise ExportError(f"layer '{name}' has padding={padding!r}, for which there is no translation")


def _merge(entry: Entry, config: dict[str, Any]) -> None:
    mode = config.get("mode")
    if mode not in _MERGES or "inbound_nodes" not in entry:
        raise ExportError(
            f"layer '{name_of(entry)}' merges by mode={mode!r}"
            + ("" if "inbound_nodes" in entry else " at the beginning of a Sequential")
            + ", for which there is no translation"
        )
    kept = {"name": config["name"], "trainable": config.get("trainable", True)}
    if mode == "concat":
        kept["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        kept["axes"] = config.get("dot_axes", -1)
    entry.update(class_name=_MERGES[mode], config=kept)
