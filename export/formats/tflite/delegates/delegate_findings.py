"""Everything that `lint` finds in a file, given inputs to run it on. Runs in the guarded process; imports no Keras."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ....model.spec import Spec
from ....report.delegate_report import Finding, XnnpackReport
from .. import op_facts
from ..flex_runner import flex_ops
from ..runtime import runners
from .half_findings import half_findings
from .static_checks import static_findings
from .xnnpack import xnnpack_report

_FREE_SIZE = 32


def delegate_findings(
    path: Path, feed: dict[str, np.ndarray] | None, layers: Collection[str] | None
) -> tuple[list[Finding], dict[str, float], XnnpackReport | None]:
    """The findings, each output's error in half precision, and what XNNPACK takes; on random numbers without `feed`.

    A file with TensorFlow's operations is looked at only: LiteRT alone does not run it.
    """
    runner = next(iter(runners(path).values()))
    findings = static_findings(path, runner.inputs, layers, op_facts.quantized_as(path))
    if flex_ops(path):
        return findings, {}, None
    in_half, errors = half_findings(path, _drawn(runner.inputs) if feed is None else feed, runner.outputs, layers)
    return [*findings, *in_half], errors, xnnpack_report(path, layers)


def _drawn(specs: Sequence[Spec]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {spec.name: [n or (1 if i == 0 else _FREE_SIZE) for i, n in enumerate(spec.shape)] for spec in specs}
    floats = {spec.name for spec in specs if spec.dtype.startswith("float")}
    drawn = {name: rng.normal(size=shape) if name in floats else np.zeros(shape) for name, shape in shapes.items()}
    return {spec.name: drawn[spec.name].astype(spec.dtype) for spec in specs}
