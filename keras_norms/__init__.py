"""Normalization layers for Keras 3, and what is done to the norms of a model in training."""

from importlib import import_module
from typing import TYPE_CHECKING

from keras_norms import (  # noqa: F401  (registers what upgraded and converted models need)
    _bilinear_upsampling,
    _channel_affine,
    _hard_sigmoid,
    _locally_connected,
    _masks_of_keras2,
    _norms_of_others,
    _recurrent_of_keras2,
    _softmax_of_keras2,
    _time_distributed_of_keras2,
)
from keras_norms.batch_normalization import BatchNormalization
from keras_norms.batch_renormalization import BatchRenormalization
from keras_norms.group_normalization import GroupNormalization
from keras_norms.instance_normalization import InstanceNormalization
from keras_norms.layer_normalization import LayerNormalization
from keras_norms.renorm_schedule import RenormSchedule
from keras_norms.weight_standardization import WeightStandardization

__all__ = [
    "BatchNormalization",
    "BatchRenormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RenormSchedule",
    "recalibrate",
    "RecalibrateReport",
    "convert_norms",
    "freeze_norms",
    "ConvertResult",
    "ConvertReport",
    "norm_statistics",
    "NormReport",
    "from_torch_norm",
    "WeightStandardization",
]

# Imported when they are first asked for: a program that trains or loads a model needs none of them. No module here may
# be called as one of its names is, for importing it would put the module in the name's place.
_LATER = {
    "recalibrate": "recalibration",
    "RecalibrateReport": "recalibrate_report",
    "convert_norms": "surgery",
    "freeze_norms": "surgery",
    "ConvertResult": "surgery",
    "ConvertReport": "convert_report",
    "norm_statistics": "_statistics_of_norms",
    "NormReport": "norm_report",
    "from_torch_norm": "torch_norms",
}

if TYPE_CHECKING:
    from keras_norms._statistics_of_norms import norm_statistics
    from keras_norms.convert_report import ConvertReport
    from keras_norms.norm_report import NormReport
    from keras_norms.recalibrate_report import RecalibrateReport
    from keras_norms.recalibration import recalibrate
    from keras_norms.surgery import ConvertResult, convert_norms, freeze_norms
    from keras_norms.torch_norms import from_torch_norm

    __version__: str
else:  # hidden from type checkers, for which any misspelt name would else be a string

    def __getattr__(name):
        """What stands in `_LATER`, and `__version__`, which a copy without metadata does not have."""
        if name in _LATER:
            globals()[name] = found = getattr(import_module(f"keras_norms.{_LATER[name]}"), name)
            return found
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("keras-norms")

    def __dir__():
        return sorted({*globals(), *__all__})
