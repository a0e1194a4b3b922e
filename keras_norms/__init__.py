"""Normalization layers for Keras 3."""

from typing import TYPE_CHECKING

from keras_norms import (  # noqa: F401  (registers what models from files of Keras 1 and 2 need)
    _bilinear_upsampling,
    _hard_sigmoid,
    _locally_connected,
    _masks_of_keras2,
    _norms_of_others,
)
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

if TYPE_CHECKING:
    __version__: str
else:  # hidden from type checkers, for which any misspelt name would else be a string

    def __getattr__(name):
        """Read `__version__` when it is asked for: the import stays light, and works in a copy without metadata."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("keras-norms")
