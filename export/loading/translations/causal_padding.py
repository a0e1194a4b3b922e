"""SeparableConv1D with padding="causal", which Keras 3's refuses to compute: zeros before the steps, and no padding."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer
from .norms_of_others import OF_USER

_UNPADDED = "_unpadded"  # ends the name of the convolution within


def apply(entry: Entry, writer: Writer) -> bool:
    """Put the zeros and the convolution into a Sequential of the layer's name."""
    config = entry["config"]
    if entry["class_name"] != "SeparableConv1D" or entry.get(OF_USER) or config.get("padding") != "causal":
        return False
    (size,), (step,) = ([n] if isinstance(n, int) else n for n in (config["kernel_size"], config["dilation_rate"]))
    name = config["name"]
    zeros = {"padding": [step * (size - 1), 0], "data_format": config.get("data_format"), "name": f"{name}_zeros"}
    inner = {**config, "padding": "valid", "name": name + _UNPADDED}
    layers = [{"class_name": "ZeroPadding1D", "config": zeros}, {"class_name": entry["class_name"], "config": inner}]
    entry.update(class_name="Sequential", config={"name": name, "layers": layers}, stands_for=inner["name"])
    return True
