"""What reference evaluators say: nobody ships them, so where they differ is told, and decides nothing."""

from __future__ import annotations

from ..errors import VerificationError
from ..formats.protocol import Runner
from ..model.test_inputs import Probe
from ..quantization.modes import Mode
from .interface import Artifact, mismatch
from .metrics import distance
from .output_scales import OutputScales
from .reference import Reference
from .tolerance import ordinary


def advice(
    artifact: Artifact,
    advisers: dict[str, Runner],
    expectations: list[tuple[Probe, Reference]],
    scales: OutputScales,
    tolerance: float,
    mode: Mode | None,
) -> tuple[str, ...]:
    """One line for each adviser that does not agree with the model on the first ordinary input."""
    tried = next(((case, expected) for case, expected in expectations if ordinary(case)), None)
    if tried is None or mode is not None:
        return ()
    case, expected = tried
    lines = []
    for name, runner in advisers.items():
        try:
            got = artifact.with_runner(name, runner).run(name, case.arrays)
        except VerificationError as error:
            lines.append(str(error))
            continue
        for i, (y, other) in enumerate(zip(expected.outputs, got, strict=True)):
            problem = mismatch(y, other, mode)
            off = distance(y, other, scales.on(case)[i]).relative
            if problem or off > tolerance:
                said = problem or f"is off by {off:.1e} of its scale"
                lines.append(f"{name}, which decides nothing: output {i} {said} on {case.name} input")
    return tuple(lines)
