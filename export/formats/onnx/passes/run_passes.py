"""All passes in order, and, if asked for, what each of them did.

    KERAS_NORMS_CHECK_PASSES=1        run the graph after every pass, and name the first that changed a number
    KERAS_NORMS_PASS_LOG=file         append what each pass did there, and why it left a node as it was

The converter runs in a child process that lives on: set both before the first export.
"""

from __future__ import annotations

import os

import onnx_ir as ir

from ...rewrite_log import logged
from . import PASSES
from .check_passes import PassChecker
from .clean import infer_shapes, remove_unused
from .pass_types import Pass, PassOptions, PassResult

CHECK = "KERAS_NORMS_CHECK_PASSES"


def optimize(model: ir.Model, options: PassOptions, passes: tuple[Pass, ...] = PASSES) -> tuple[str, ...]:
    """Rewrite `model` in place; returns the names of inputs and outputs that are channels first now.

    Raises:
        UnavailableNormError: If norms='standard' asks for an operator that is newer than the opset.
        PassError: If KERAS_NORMS_CHECK_PASSES is set and a pass changed what the graph computes.
    """
    checker = PassChecker(model) if os.environ.get(CHECK) else None
    channels_first: tuple[str, ...] = ()
    for row in passes:
        with logged(row.name, lambda: len(model.graph)):
            result = apply_pass(row, model, options)
        channels_first += result.channels_first
        if checker is not None:
            checker.check(row.name, model, result.channels_first)
    return channels_first


def apply_pass(row: Pass, model: ir.Model, options: PassOptions) -> PassResult:
    """One pass, and what its row says is done behind it."""
    result = row.rewrite(model, options) or PassResult()
    while row.repeat and result.changed:
        remove_unused(model)
        infer_shapes(model)
        result = row.rewrite(model, options) or PassResult()
    if row.then_clean:
        remove_unused(model)
    if row.then_infer:
        infer_shapes(model)
    return result
