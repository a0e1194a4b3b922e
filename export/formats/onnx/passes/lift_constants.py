"""Constants of nodes of their own as initializers, which is where every later pass looks for them."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from .pass_types import PassOptions


def lift_constants(model: ir.Model, _options: PassOptions) -> None:
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
