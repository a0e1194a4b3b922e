"""Merges of masked inputs, and layers that dropped the mask in Keras 2, in models that mask steps.

Merges of Keras 2 joined masks by "and", those of Keras 3 join them by "or", and leave what is masked out of products,
maxima and minima. GlobalAveragePooling1D took no mask in tf.keras up to 2.1 (TensorFlow 1.12); Keras alone refused
masks there until it took them. Models without a mask keep the stock layers.
"""

from __future__ import annotations

from keras_norms import _masks_of_keras2  # noqa: F401  (registers the layers)

from ..config_tree import Entry, stock_class, walk
from ..writer import Writer
from .norms_of_others import OF_USER

_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
_OTHERWISE = (*_MERGES, "Rescaling", "Normalization", "Identity")
MAKES_MASKS = "makes_masks"  # in an entry: it is of a class of the user's that computes a mask
IN_MASKED_MODEL = "in_masked_model"
FIXED_BATCH = "fixed_batch"  # in an entry: an input of its model states how many samples a batch has


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer, in a model in which something is masked."""
    if IN_MASKED_MODEL not in entry:  # the outermost model comes first, and tells all below it
        masked = any(makes_masks(below) for below in walk(entry))
        fixed = any(_states_batch(below) for below in walk(entry))
        for below in walk(entry):
            below.update({IN_MASKED_MODEL: masked, FIXED_BATCH: fixed})
    kind = entry["class_name"]
    if not entry[IN_MASKED_MODEL] or entry.get(OF_USER) or str(entry.get("module")).startswith("keras.src.ops"):
        return False
    if kind == "GlobalAveragePooling1D" and writer.before(2, 2):
        name = f"{kind}OfKeras21"
    elif kind in _OTHERWISE:
        name = f"{kind}OfKeras2"
    else:
        return False
    entry.update(class_name=name, registered_name=f"keras_norms>{name}")
    return True


def makes_masks(entry: Entry) -> bool:
    """Whether a layer masks some of what it is given."""
    kind, config = stock_class(entry), entry["config"]
    return (
        kind == "Masking"
        or bool(entry.get(MAKES_MASKS))
        or (isinstance(config, dict) and bool(config.get("mask_zero")))
    )


def _states_batch(entry: Entry) -> bool:
    config = entry["config"]
    shapes = [config.get(key) for key in ("batch_input_shape", "batch_shape")] if isinstance(config, dict) else []
    return any(shape and shape[0] is not None for shape in shapes)
