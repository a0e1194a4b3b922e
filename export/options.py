"""What a user asks of an export, as frozen values that stay the same from `to_tflite` to the converting process.

The annotations say what a type checker accepts; `Format.check` refuses anything else when the program runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self

TFLiteQuantization = Literal["float16", "dynamic", "int8", "int16x8", "auto"]
OnnxQuantization = Literal["float16", "dynamic", "int8", "auto"]
IoDtype = Literal["float32", "int8"]
Target = Literal["gpu", "npu", "micro"]
NormForm = Literal["fast", "half", "integer"]  # plain, or for runtimes of half precision or of integers
# The norms whose gamma and beta go into the layers behind them.
Tails = Literal["all", "all but RMS", "groups", "none"]
Norms = Literal["fast", "standard"]
Layout = Literal["keras", "nchw"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What every format is asked. `to_tflite` and `to_onnx` explain each option."""

    batch_size: int | None = None
    fold: bool = True
    tolerance: float | None = None
    quantize: TFLiteQuantization | OnnxQuantization | None = None
    max_bytes: int | None = None
    min_db: float | None = None

    def __post_init__(self) -> None:
        """NumPy's numbers become Python's: options cross to the converting process as JSON."""
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())

    def in_mode(self, mode: Any) -> Self:
        """The same options for a fixed mode, or for None: without a budget."""
        return replace(self, quantize=mode, max_bytes=None, min_db=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the certificate and for the converting process."""
        return asdict(self)

    @property
    def chip(self) -> str | None:
        """The kind of chip without an operating system that the file is for, if any."""
        return None


@dataclass(frozen=True, kw_only=True)
class TFLiteOptions(ExportOptions):
    """What `to_tflite` is asked."""

    quantize: TFLiteQuantization | None = None
    io_dtype: IoDtype | None = None
    target: Target | None = None
    allow_flex: bool = False

    @property
    def chip(self) -> str | None:
        return self.target if self.target in ("npu", "micro") else None

    @property
    def integers(self) -> bool:
        """Whether norms, inputs and outputs are to be in integers too."""
        return self.target == "npu" or (self.target == "micro" and self.quantize is not None)


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(ExportOptions):
    """What `to_onnx` is asked."""

    quantize: OnnxQuantization | None = None
    opset: int | None = None
    norms: Norms = "fast"
    layout: Layout = "keras"
