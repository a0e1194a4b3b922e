"""How far one output is from another, and how far a model's outputs move when its inputs are rounded differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np

from ..errors import first_words
from ..model.precision import in_float32
from ..model.signature import Signature
from ..model.test_inputs import INFINITE, Arrays, Probe, with_first_number
from .float64_norms import exact_norms

_SMALLEST_SCALE = 1e-3
_DRAWN_AGAIN = 16


@dataclass(frozen=True)
class Reference:
    """What the model says to one probe: its outputs, and for each the positions to judge (None for all)."""

    outputs: Arrays
    move: Callable[[], Arrays]
    judged: list[np.ndarray] | None = None

    @cached_property
    def moved(self) -> Arrays:
        """The same with each input moved by one rounding step; to be asked for while the model still is as it was."""
        return self.move()

    def part(self, i: int, y: np.ndarray) -> np.ndarray:
        """The judged positions of `y`, which stands for output `i`."""
        return y if self.judged is None or y.shape != self.judged[i].shape else y[self.judged[i]]


def reference(model: keras.Model, sig: Signature, probe: Probe) -> Reference:
    """Run `model` on the probe."""
    if probe.name != INFINITE or probe.given:
        return Reference(_call(model, sig, probe.arrays), lambda: _call_rounded(model, sig, probe.arrays))
    # What does not depend on the first number must not change when that is infinite: no other sample, no other group.
    finite = with_first_number(probe.arrays, 0.0)
    outputs, others = _call(model, sig, probe.arrays), _call(model, sig, with_first_number(probe.arrays, 3.0))
    here = _call(model, sig, finite)
    untouched = [(a == b) & np.isfinite(y) for y, a, b in zip(outputs, here, others, strict=True)]

    def move() -> Arrays:
        # The rounding step is taken from the finite input, so its effect is measured from there too.
        moved = zip(outputs, _call_rounded(model, sig, finite), here, strict=True)
        return [y + (m - a) if y.dtype.kind == "f" else y for y, m, a in moved]

    return Reference(outputs, move, untouched)


def references(
    model: keras.Model, sig: Signature, cases: list[Probe], skipped: list[str]
) -> list[tuple[Probe, Reference]]:
    """What the model says to each input; those that it refuses go to `skipped`."""
    found = []
    with in_float32(model):
        for case in cases:
            try:
                found.append((case, reference(model, sig, case)))
            except Exception as error:  # whatever a layer raises on numbers that mean nothing to it
                skipped.append(f"{case.name}: the model does not run on it: {first_words(error)}")
    return found


def narrowed(model: keras.Model, sig: Signature, probe: Probe, expected: Reference, got: Arrays) -> Reference:
    """`expected` of one infinity, without the positions that do depend on it and did not show it.

    A ReLU or a maximum hides what a number does, until other numbers around it let it through: so where `got` has no
    finite number, others are drawn. What does not depend on the number stays, whatever is drawn.
    """
    rng = np.random.default_rng(0)
    with in_float32(model):
        for _ in range(_DRAWN_AGAIN):
            if all(np.isfinite(expected.part(i, y)).all() for i, y in enumerate(got) if y.dtype.kind == "f"):
                break
            drawn = [rng.normal(size=x.shape).astype(x.dtype) if x.dtype.kind == "f" else x for x in probe.arrays]
            here, *others = (_call(model, sig, with_first_number(drawn, value)) for value in (0.0, 1e3, -1e3))
            same = [[a == b for a, b in zip(here, other, strict=True)] for other in others]
            judged = expected.judged or [np.ones(y.shape, bool) for y in expected.outputs]
            expected = replace(expected, judged=[a & b & c for a, b, c in zip(judged, *same, strict=True)])
    return expected


def in_exact_norms(model: keras.Model, sig: Signature, probe: Probe) -> Reference | None:
    """What the model would say if Keras' own norms, which round far from zero, were exact; None if it has none."""
    with exact_norms(model) as any_there:
        return reference(model, sig, probe) if any_there else None


def off_by(expected: Reference, exact: Reference | None, largest: list[float]) -> list[float]:
    """How far each output is from that of exact norms, as a share of its scale."""
    if exact is None:
        return [0.0] * len(largest)
    pairs = zip(expected.outputs, exact.outputs, largest, strict=True)
    return [distance(expected.part(i, y), expected.part(i, e), top)[1] for i, (y, e, top) in enumerate(pairs)]


def _call(model: keras.Model, sig: Signature, arrays: Arrays) -> Arrays:
    return [keras.ops.convert_to_numpy(y) for y in sig.call(model, arrays)]


def _call_rounded(model: keras.Model, sig: Signature, arrays: Arrays) -> Arrays:
    """`_call` with every float of the inputs and of the weights moved by one rounding step.

    The inputs alone say nothing where they are zero. The weights stay as they are: a scope stands in for them.
    """
    rng = np.random.default_rng(0)
    floats = [v for v in model.variables if v.dtype in ("float32", "float64")]
    moved = [(v, keras.ops.convert_to_tensor(_one_step(keras.ops.convert_to_numpy(v), rng))) for v in floats]
    with keras.StatelessScope(state_mapping=moved):
        return _call(model, sig, [_one_step(x, rng) if x.dtype.kind == "f" else x for x in arrays])


def _one_step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float moved by one rounding step, up or down."""
    return np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(x.dtype))


def scale(y: np.ndarray) -> float:
    """The largest finite magnitude."""
    finite = np.abs(y[np.isfinite(y)].astype(np.float64)) if y.dtype.kind in "fiub" else np.zeros(0)
    return float(finite.max()) if finite.size else 0.0


def distance(y: np.ndarray, other: np.ndarray, largest: float) -> tuple[float, float, float]:
    """Largest difference, the same as a share of the scale, and the signal's power over the error's in dB.

    Outputs that are classes or flags have no scale: their distance is the share of positions that differ.
    """
    if y.shape != other.shape:
        return np.inf, np.inf, -np.inf
    if y.dtype.kind not in "fc":
        share = float(np.mean(y != other)) if y.size else 0.0
        return share, share, np.inf if share == 0 else -10 * np.log10(share)
    a, b = y.astype(np.float64), other.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(a - b))
    if not np.isfinite(error).all():
        return np.inf, np.inf, -np.inf
    # Where one input gives a tiny output, rounding is judged against what the output reaches on the others.
    reach = max(scale(y), _SMALLEST_SCALE * largest)
    worst = float(error.max(initial=0.0))
    power = float(np.mean(np.square(a[np.isfinite(a)]))) if np.isfinite(a).any() else 0.0
    noise = float(np.mean(error**2)) if a.size else 0.0
    sqnr = np.inf if noise == 0 else 10 * np.log10(max(power, 1e-300) / noise)
    return worst, worst / reach if reach else (0.0 if worst == 0 else np.inf), float(sqnr)
