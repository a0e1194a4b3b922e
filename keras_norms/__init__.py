"""Normalization layers for Keras 3."""

from keras_norms import _hard_sigmoid  # noqa: F401  (registers what files of Keras 2 need)
from keras_norms.batch_normalization import BatchNormalization
from keras_norms.batch_renormalization import BatchRenormalization
from keras_norms.group_normalization import GroupNormalization
from keras_norms.instance_normalization import InstanceNormalization
from keras_norms.layer_normalization import LayerNormalization
from keras_norms.renorm_schedule import RenormSchedule

__all__ = [
    "BatchNormalization",
    "BatchRenormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RenormSchedule",
]
