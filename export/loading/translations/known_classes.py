"""Classes that well-known packages added to Keras 2, and that are a stock layer in inference."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer
from .norms_of_others import OF_USER

# The class, the stock one, and the arguments of its own that say something in training only.
_KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "FixedDropout": ("Dropout", ("noise_shape", "seed")),  # efficientnet, segmentation_models
    "BatchNorm": ("BatchNormalization", ()),  # Mask R-CNN: it can be called in training, and is not by default
}
_OF_APPLICATIONS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")


def of_applications(entry: Entry, writer: Writer) -> bool:
    """Say that a layer is taken to be one of keras.applications: a file without modules does not tell."""
    return entry["class_name"] in _OF_APPLICATIONS and not entry.get("module") and not entry.get(OF_USER)


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the stock class, unless the user gives one of this name."""
    known = _KNOWN.get(entry["class_name"])
    if known is None or entry.get(OF_USER):
        return False
    entry["class_name"] = known[0]
    entry["registered_name"] = entry["module"] = None
    for key in known[1]:
        entry["config"].pop(key, None)
    return True
