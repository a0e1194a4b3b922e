"""The parts of tf2onnx that are used, imported where NumPy has the names that it asks for."""

from __future__ import annotations

import numpy as np

for _old, _new in (("product", "prod"), ("cast", "asarray")):  # tf2onnx asks NumPy 2 for names that it dropped
    if not hasattr(np, _old):
        setattr(np, _old, getattr(np, _new))

import tf2onnx  # noqa: E402
from tf2onnx import optimizer, tf_loader  # noqa: E402
from tf2onnx.onnx_opset import math as arithmetic  # noqa: E402
from tf2onnx.onnx_opset import nn as convolutions  # noqa: E402
from tf2onnx.onnx_opset.controlflow import Select  # noqa: E402

__all__ = ["Select", "arithmetic", "convolutions", "optimizer", "tf2onnx", "tf_loader"]
