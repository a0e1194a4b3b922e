"""Inputs that an artifact is tried on whatever the user gives: random ones, and those that break norms.

Random inputs alone miss what breaks norms: a constant input has no variance, an offset cancels, a tiny variance shows a
wrong epsilon, and one infinity shows what leaks from a group or a sample into the others. Wide ones reach where kernels
approximate functions less well than Keras does: rarely, so there are many of them where the inputs are small. All are
of moderate size: of larger numbers float32 keeps too little for a verdict. Of a constant nothing but rounding is left
by a norm, and "steps" are far from zero: there an artifact must only be finite, which shows a missing epsilon and a
negative variance. How far from zero it holds its tolerance is measured in `verification.reach`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import keras
import numpy as np

from ..errors import ExportError
from .input_scaling import Scaling, scalings
from .keras_graph import calls_to, layers_of, maker
from .signature import Signature, Spec
from .size_search import concrete_shape, sized
from .user_inputs import Arrays

OFFSET = 100.0
CONSTANT = 12.34
TINY = 1e-3
INFINITE = "one infinity"
WIDE = "wide"
_FREE_BATCHES = (1, 3)
_WIDE_NUMBERS, _WIDE_ROWS = 1024, 16


@dataclass(frozen=True)
class Probe:
    """One set of inputs. `formula` and `seed` say how to draw it again; `given` if the user brought it.

    `judged_for` is what an artifact must show on it: the model's numbers, or, in a quantized artifact on inputs that it
    was not made for, no more than finite numbers where the model's are.
    """

    name: str
    arrays: Arrays
    formula: str
    seed: int | None = None
    given: bool = False
    judged_for: Literal["numbers", "finite"] = "numbers"
    first: int = 0  # the input whose first number is the infinite one


def _rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(rng.normal(size=(*shape[:-1], 1)), shape)


def _steps(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(40_000.0 + np.arange(shape[-1] if shape else 1) % 4, shape)


_Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

# How the floats of each input are drawn. Random comes first: it sets the scale that tiny outputs are judged against.
_FORMULAS: dict[str, tuple[str, _Draw]] = {
    "random": ("N(0, 1)", lambda rng, shape: rng.normal(size=shape)),
    WIDE: ("1 + 3 * N(0, 1)", lambda rng, shape: 1.0 + 3.0 * rng.normal(size=shape)),
    "constant": (f"{CONSTANT}", lambda _, shape: np.full(shape, CONSTANT)),
    "constant rows": ("N(0, 1), the same along the last axis", _rows),
    "offset": (f"{OFFSET} + N(0, 1)", lambda rng, shape: OFFSET + rng.normal(size=shape)),
    "steps": ("40000, 40001, 40002, 40003, ... along the last axis", _steps),
    "tiny variance": (f"{TINY} * N(0, 1)", lambda rng, shape: TINY * rng.normal(size=shape)),
    "zeros": ("0", lambda _, shape: np.zeros(shape)),
    INFINITE: ("N(0, 1), the first number of the first sample infinite", lambda rng, shape: rng.normal(size=shape)),
}


_ONLY_FINITE = ("constant", "steps")


def probes(model: keras.Model, sig: Signature, like: Arrays | None = None) -> list[Probe]:
    """Synthetic inputs: random at batch 1 and 3 where the batch is free, then each kind that breaks norms.

    Other sizes that are free are those of the inputs `like`, or else some that the model takes.

    Raises:
        ExportError: If no such sizes are found, or if an input takes strings.
    """
    sig = sized(model, sig, like)
    ids, scaled = _Ids.of(model), scalings(model, sig)
    free = all(spec.shape and spec.shape[0] is None for spec in sig.inputs)
    small, large = _FREE_BATCHES if free else (None, None)
    floats = any(_is_float(spec) and spec.name not in ids.inputs for spec in sig.inputs)
    cases = [("random", f"random, batch {small}" if free else "random", small)]
    if floats:
        cases += [(kind, kind, small) for kind in _FORMULAS if kind not in ("random", INFINITE)]
    if free:  # last, for a runtime prepares itself anew for each size
        cases.append(("random", f"random, batch {large}", large))
    else:  # a second one, to see what moves
        cases.append(("random", "random, again", large))
    if floats:
        cases.append((INFINITE, INFINITE, large))
    return [_draw(kind, name, _with_rows(kind, sig), batch, ids, scaled) for kind, name, batch in cases]


def _with_rows(kind: str, sig: Signature) -> Signature:
    """The signature with as many rows as a kind of input has: a multiple of a batch that all inputs share."""
    batches = {spec.shape[0] if spec.shape else 0 for spec in sig.inputs}
    if kind != WIDE or len(batches) != 1 or 0 in batches:
        return sig
    batch = batches.pop() or 1
    numbers = sum(math.prod(concrete_shape(spec, batch)) for spec in sig.inputs)
    rows = batch * min(_WIDE_ROWS, max(1, _WIDE_NUMBERS // max(numbers, 1)))
    return replace(sig, inputs=tuple(replace(spec, shape=(rows, *spec.shape[1:])) for spec in sig.inputs))


def _draw(kind: str, name: str, sig: Signature, batch: int | None, ids: _Ids, scaled: dict[str, Scaling]) -> Probe:
    formula, floats = _FORMULAS[kind]
    seed = zlib.crc32(name.encode())
    rng = np.random.default_rng(seed)
    arrays = []
    for spec in sig.inputs:
        shape = concrete_shape(spec, batch)
        if spec.name in ids.inputs:
            array: np.ndarray = rng.integers(0, ids.limit, shape)
        elif _is_float(spec):
            array = floats(rng, shape)
            array = scaled[spec.name].taken_back(array) if spec.name in scaled else array
        elif spec.dtype == "bool":
            array = rng.random(shape) < 0.5
        elif spec.dtype == "string":
            raise ExportError(
                f"Input '{spec.name}' takes strings; give inputs= to verify with, and vectorize before the model."
            )
        else:
            array = rng.integers(0, ids.limit, shape)
        arrays.append(np.array(array, spec.dtype))
    first = next((i for i, spec in enumerate(sig.inputs) if _is_float(spec) and spec.name not in ids.inputs), 0)
    if kind == INFINITE:
        arrays = with_first_number(arrays, first, np.inf)
    if scaled:
        formula += f"; as {', '.join(map(str, scaled.values()))} should give it"
    judged: Literal["numbers", "finite"] = "finite" if kind in _ONLY_FINITE else "numbers"
    return Probe(name, arrays, formula, seed, judged_for=judged, first=first)


def with_first_number(arrays: Arrays, first: int, value: float) -> Arrays:
    """The arrays with the first number of the one at `first` replaced."""
    changed = [array.copy() for array in arrays]
    if changed[first].size:
        changed[first].flat[0] = value
    return changed


def _is_float(spec: Spec) -> bool:
    return spec.dtype.startswith(("float", "bfloat"))


@dataclass(frozen=True)
class _Ids:
    """What embeddings look up: one more than the largest number to feed, and the inputs that they take as they are."""

    limit: int
    inputs: frozenset[str]

    @classmethod
    def of(cls, model: keras.Model) -> _Ids:
        embeddings = [layer for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)]
        taken = [x for layer in embeddings for node in calls_to(layer) for x in node.input_tensors]
        makers = [maker(x) for x in taken]
        inputs = frozenset(layer.name for layer in makers if isinstance(layer, keras.layers.InputLayer))
        return cls(min((layer.input_dim for layer in embeddings), default=10), inputs)
