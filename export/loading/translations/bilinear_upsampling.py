"""BilinearUpsampling of the DeepLabV3+ of Keras 2, which keeps the corners of images.

Other projects have classes of this name with other arguments and other points; these are the user's to give.
"""

from __future__ import annotations

from keras_norms import _bilinear_upsampling  # noqa: F401  (registers the layer)

from ..config_tree import Entry
from ..writer import Writer
from .norms_of_others import OF_USER

_OWN = {"upsampling", "output_size", "data_format"}
_OF_EVERY_LAYER = {"name", "trainable", "dtype", "batch_input_shape", "dynamic"}


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer where the config is exactly that of DeepLab's."""
    config = entry["config"]
    if entry["class_name"] != "BilinearUpsampling" or entry.get(OF_USER) or set(config) - _OF_EVERY_LAYER != _OWN:
        return False
    if config["data_format"] == "channels_first":
        return False
    del config["data_format"]
    entry.update(class_name="keras_norms>BilinearUpsampling", registered_name="keras_norms>BilinearUpsampling")
    return True
