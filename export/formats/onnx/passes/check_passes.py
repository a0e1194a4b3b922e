"""Runs a graph after every pass on the same random inputs, and names the pass that changed a number beyond rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from .clean import remove_unused
from .group_norm_op import write_group_norms
from .pass_types import PassOptions
from .pixel_shuffle_op import write_pixel_shuffles
from .tidy_names import tidy

_TOLERANCE = 1e-4  # of the largest number of an output; rounding in another order makes a hundredth of that
_BATCH, _FREE_SIZES = 2, (16, 32, 64, 224)  # the first of these that the graph runs with
_Arrays = dict[str, NDArray[Any]]


class PassError(RuntimeError):
    """A pass that changed what the graph computes, or left it so that it does not run."""


class PassChecker:
    """What the graph computed before and behind the last pass."""

    def __init__(self, model: ir.Model) -> None:
        errors: list[Exception] = []
        for size in _FREE_SIZES:
            self._inputs = {str(value.name): _random(value, size) for value in model.graph.inputs}
            try:
                self._graph = _runnable(model)
                self._outputs = _run(self._graph, self._inputs)
                return
            except Exception as error:  # runtimes share no class of errors
                errors.append(error)
        raise PassError(f"The graph cannot be run on random inputs before any pass: {errors[0]}") from errors[0]

    def check(self, name: str, model: ir.Model, channels_first: tuple[str, ...]) -> None:
        """Compare what `model` computes behind pass `name`, which turned some inputs and outputs, with before.

        Raises:
            PassError: If a number differs, or the graph does not run.
        """
        self._inputs = {key: _turned(x) if key in channels_first else x for key, x in self._inputs.items()}
        expected = {key: _turned(y) if key in channels_first else y for key, y in self._outputs.items()}
        try:
            before, self._graph = self._graph, _runnable(model)
            if self._graph == before:
                return
            self._outputs = _run(self._graph, self._inputs)
        except Exception as error:  # runtimes share no class of errors
            raise PassError(f"Pass '{name}' left a graph that does not run: {error}") from error
        for key, y in expected.items():
            got = self._outputs[key]
            if got.shape != y.shape:
                raise PassError(f"Pass '{name}' changed the shape of output '{key}' from {y.shape} to {got.shape}.")
            difference = _difference(got, y)
            if not difference <= _TOLERANCE:
                raise PassError(f"Pass '{name}' changed output '{key}' by {difference:.2g} of its largest number.")


def _turned(x: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _difference(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, in units of the largest number; infinite for other NaNs."""
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, expected) else np.inf
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    finite = np.isfinite(got) & np.isfinite(expected)
    if not (same | finite).all():
        return np.inf
    scale = np.abs(expected[finite]).max(initial=1e-6)
    return float(np.abs(np.subtract(got[finite], expected[finite], dtype=np.float64)).max(initial=0.0) / scale)


def _random(value: ir.Value, free: int) -> NDArray[Any]:
    rng, dtype = np.random.default_rng(0), (value.dtype or ir.DataType.FLOAT).numpy()
    shape = [n if isinstance(n, int) else free if axis else _BATCH for axis, n in enumerate(value.shape or ())]
    if dtype.kind in "iub":  # zeros and ones: an index of any table
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def _run(proto: onnx.ModelProto, inputs: _Arrays) -> _Arrays:
    """The outputs in ONNX Runtime, which optimizes nothing, or in ONNX's own evaluator where that cannot."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    names = [value.name for value in proto.graph.output]
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(names, inputs)
    except Exception as error:  # onnxruntime's own exceptions share no base class of a public name
        try:
            found = ReferenceEvaluator(proto).run(names, inputs)
        except Exception:
            raise error from None
    return {name: np.asarray(y) for name, y in zip(names, found, strict=True)}


def _runnable(model: ir.Model) -> onnx.ModelProto:
    """A copy of the graph, between any two passes, that a runtime takes: unique names, our own nodes written out."""
    copy = model.clone()
    for written in (write_group_norms, write_pixel_shuffles):
        written(copy, PassOptions())
    remove_unused(copy)
    tidy(copy)
    proto: onnx.ModelProto = ir.to_proto(copy)
    del proto.graph.value_info[:]  # not all passes keep them
    return proto
