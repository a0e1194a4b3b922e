"""Sizes for a model's free dimensions that all of its layers take.

Layers restrict what comes in: cropping, valid convolutions and pooling need a least size, strides and upsampling beside
a skip connection a multiple, a reshape one product, a sum of two inputs the same length behind different layers. Which
sizes these leave is found by working through the layers' shapes, without numbers:

    1. FREE_SIZES, the same size everywhere;
    2. in finer and finer GRIDS up to LARGEST_SIZE, the same size everywhere, then one dimension after the other: the
       size under which most layers get something they take stays, and the next dimension is varied, until all do or
       nothing improves.

The first that suits is taken, so a model keeps its size as long as it is what it was.

On TensorFlow Keras adds the bias of a layer that is channels first along the columns where there are as many of them as
channels: such a size says nothing of others, and is tried last. Where the model itself fixes the columns no size helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from itertools import islice
from typing import Any

import keras

from ..errors import ExportError, reason_of
from .keras_graph import layers_below
from .patching import patched_calls
from .signature import Signature, Spec
from .sizes import FREE_SIZES, LARGEST_SIZE
from .user_inputs import Arrays

# The grids of sizes in the order in which they are searched. Below 16, layers see little but padding, and one step may
# be broadcast to any number of them.
GRIDS = (range(16, 513, 8), range(16, 257), range(1, 257), range(1, max(LARGEST_SIZE.values()) + 1))
# The most shapes that layers are asked for in one search: some ten seconds. Python code that is traced for it counts
# more.
_MOST_WORK, _WORK_OF_TRACING = 60_000, 10
_MOST_FOUND = 3  # beyond FREE_SIZES: a model that runs with none of these has another reason


def sized(model: keras.Model, sig: Signature, like: Arrays | None = None) -> Signature:
    """The signature without free sizes beside the batch: those of the arrays `like`, or the first that suit the model.

    Raises:
        ExportError: If the search finds none.
    """
    if like is not None:
        pairs = zip(sig.inputs, like, strict=True)
        return replace(sig, inputs=tuple(replace(spec, shape=(*spec.shape[:1], *x.shape[1:])) for spec, x in pairs))
    search = Search(model, sig)
    crossed = any(getattr(layer, "data_format", None) == "channels_first" for layer in layers_below(model))
    found = next(Search(model, sig, apart=True).suitable(), None) if crossed else None
    found = found or next(search.suitable(), None)
    if found is None:
        raise ExportError(f"{search.failure()} Give inputs=, whose sizes are taken.")
    return found


def concrete_shape(spec: Spec, batch: int | None = None, size: int = 1) -> tuple[int, ...]:
    """The shape of `spec` with `batch` (or one) rows where the batch is free, and `size` where another size is."""
    first = [batch or 1 if spec.shape[0] is None else spec.shape[0]] if spec.shape else []
    return (*first, *(size if n is None else n for n in spec.shape[1:]))


class _SpentError(Exception):
    """The search has taken as much work as it may."""


class _EmptyError(ValueError):
    """A layer has nothing left to work on."""


class Search:
    """The sizes that suit one model; `failure` says, when there are no more, what was tried.

    `apart` leaves out those that give a layer with a bias, channels first, as many columns as channels.
    """

    def __init__(self, model: keras.Model, sig: Signature, apart: bool = False) -> None:
        self._sig = sig
        self._trial = _Trial(model, sig, apart)
        self._dims = [(i, j) for i, spec in enumerate(sig.inputs) for j, n in enumerate(spec.shape) if j and n is None]
        counts = [sum(n is None for n in spec.shape[1:]) for spec in sig.inputs]
        self._limits = [LARGEST_SIZE.get(counts[i], min(LARGEST_SIZE.values())) for i, _ in self._dims]
        self._largest = 0
        self._reached: dict[tuple[int, ...], float] = {}

    def suitable(self, sizes: Sequence[int] = FREE_SIZES) -> Iterator[Signature]:
        """Signatures without free sizes that every layer takes; `sizes` come first, in that order."""
        if not self._dims:
            yield self._sig
            return
        for size in sizes:
            if self._reach([size] * len(self._dims)) == math.inf:
                yield self._with([size] * len(self._dims))
        try:
            yield from islice(map(self._with, self._others(set(sizes))), _MOST_FOUND)
        except _SpentError:
            return

    def failure(self) -> str:
        """Says what was tried without success, and what the layer said to which the model came at best."""
        return (
            f"None of the sizes that were tried for the free dimensions, up to {self._largest:,}, suits the model "
            f"({self._trial.reason})."
        )

    def _others(self, tried: set[int]) -> Iterator[list[int]]:
        seen = {(size,) * len(self._dims) for size in tried}
        for grid in GRIDS:
            for sizes in self._in(grid):
                if tuple(sizes) not in seen:
                    seen.add(tuple(sizes))
                    yield sizes

    def _in(self, grid: range) -> Iterator[list[int]]:
        """Sizes of a grid: equal ones, then one dimension after the other."""
        reached = []
        for size in _candidates(grid, min(self._limits)):
            sizes = [size] * len(self._dims)
            reached.append((self._reach(sizes), sizes))
            if reached[-1][0] == math.inf:
                yield sizes
        if len(self._dims) == 1:
            return
        best = max(reached, key=lambda pair: pair[0])
        starts = [pair for pair in reached if pair[1][0] in FREE_SIZES]
        for reach, sizes in [best, *starts]:
            yield from self._improved(reach, sizes, grid)

    def _improved(self, best: float, start: list[int], grid: range) -> Iterator[list[int]]:
        """From `start`, one dimension is varied after the other, as long as more layers get something they take."""
        improved = True
        while improved:
            improved = False
            for k, limit in enumerate(self._limits):
                for size in _candidates(grid, limit):
                    sizes = [*start[:k], size, *start[k + 1 :]]
                    reach = self._reach(sizes)
                    if reach == math.inf:
                        yield sizes
                    elif reach > best:
                        best, start, improved = reach, sizes, True

    def _reach(self, sizes: list[int]) -> float:
        self._largest = max(self._largest, *sizes)
        known = self._reached.get(tuple(sizes))
        if known is None:
            known = self._reached[tuple(sizes)] = self._trial.reach(self._with(sizes))
        return known

    def _with(self, sizes: list[int]) -> Signature:
        filled = dict(zip(self._dims, sizes, strict=True))

        def fill(i: int, spec: Spec) -> Spec:
            return replace(spec, shape=tuple(filled.get((i, j), n) for j, n in enumerate(spec.shape)))

        return replace(self._sig, inputs=tuple(fill(i, spec) for i, spec in enumerate(self._sig.inputs)))


def _candidates(grid: range, limit: int) -> Iterator[int]:
    """The sizes of a grid up to `limit`: first those that are most likely to suit."""
    doubled = [2**k for k in range(9, 13)]
    return (size for size in dict.fromkeys([*FREE_SIZES, *doubled, *grid]) if size <= limit)


class _Trial:
    """How far a model gets with given shapes. What a layer made of a shape, or why it refused it, is remembered."""

    def __init__(self, model: keras.Model, sig: Signature, apart: bool) -> None:
        self._model, self._sig = model, sig
        self._layers = layers_below(model)
        self._asked = {id(layer): self._asked_once(layer) for layer in self._layers}
        self._watched = {id(layer): self._counted(layer) for layer in self._layers}
        self._start_anew()
        self._excused = {id(layer) for layer in self._layers}  # may have as many columns as channels
        if apart:
            self._excused = self._with_fixed_columns()
            self._start_anew()

    def _start_anew(self) -> None:
        self._known: dict[Any, tuple[Any, int, Exception | None]] = {}
        self._done, self._work, self._best = 0, 0, -1
        self.reason: str | None = None

    def _with_fixed_columns(self) -> set[int]:
        """The layers that have as many columns as channels whatever the free sizes are, as far as Keras can say."""
        rows = (concrete_shape(spec)[:1] for spec in self._sig.inputs)
        shapes = [(*row, *spec.shape[1:]) for row, spec in zip(rows, self._sig.inputs, strict=True)]
        kinds = (spec.dtype for spec in self._sig.inputs)
        with suppress(Exception):  # a layer wants numbers; those before it are known
            self._outputs([keras.KerasTensor(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)])
        outputs = {key[0]: outputs for key, (outputs, _, _) in self._known.items()}
        return {id(layer) for layer in self._layers if _ambiguous(layer, outputs.get(id(layer)))}

    def reach(self, sig: Signature) -> float:
        """How many layers take what they get, up to the first that does not; infinite if all do."""
        symbols = [keras.KerasTensor(concrete_shape(spec), spec.dtype) for spec in sig.inputs]
        self._done = 0
        self._count(1 + len(self._layers) // 10)
        try:
            _check_filled(self._outputs(symbols), self._model.name)
        except _SpentError:
            raise
        except Exception as error:  # whichever layer finds a size too small or not divisible
            if self._done > self._best:
                self._best, self.reason = self._done, reason_of(error)
            return self._done
        return math.inf

    def _outputs(self, symbols: list[keras.KerasTensor]) -> Any:
        with (
            patched_calls(self._layers, lambda layer: self._asked[id(layer)], "compute_output_spec"),
            patched_calls(self._layers, lambda layer: self._watched[id(layer)]),
        ):
            return self._model.compute_output_spec(keras.tree.pack_sequence_as(self._sig.structure, symbols))

    def _asked_once(self, layer: Any) -> Callable[..., Any]:
        compute = layer.compute_output_spec

        @wraps(compute)
        def ask(*args: Any, **kwargs: Any) -> Any:
            key = (id(layer), *map(_described, keras.tree.flatten((args, kwargs))))
            if key in self._known:
                outputs, done, problem = self._known[key]
                self._done += done
            else:
                self._count(1)
                before = self._done
                outputs, problem = _outputs_or_problem(compute, layer.name, *args, **kwargs)
                if problem is None and id(layer) not in self._excused:
                    problem = _ambiguous(layer, outputs)
                self._done += problem is None
                self._known[key] = outputs, self._done - before, problem
            if problem is not None:
                raise problem
            return outputs

        return ask

    def _counted(self, layer: Any) -> Callable[..., Any]:
        """Its `call`, which is run only where Python code is traced: a layer that states its shapes is asked alone."""
        call = layer.call

        @wraps(call)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._count(_WORK_OF_TRACING)
            outputs = call(*args, **kwargs)
            _check_filled(outputs, layer.name)
            self._done += 1
            return outputs

        return counted

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise _SpentError


def _outputs_or_problem(
    compute: Callable[..., Any], name: str, *args: Any, **kwargs: Any
) -> tuple[Any, Exception | None]:
    try:
        outputs = compute(*args, **kwargs)
        _check_filled(outputs, name)
    except _SpentError:
        raise
    except Exception as error:
        return None, error
    return outputs, None


def _ambiguous(layer: Any, outputs: Any) -> Exception | None:
    shape = tuple(getattr(outputs, "shape", ()))
    biased = getattr(layer, "use_bias", False) and getattr(layer, "data_format", None) == "channels_first"
    same = biased and len(shape) > 2 and shape[1] == shape[-1]
    return ValueError(f"'{layer.name}' has as many columns as channels") if same else None


def _described(x: Any) -> Any:
    if isinstance(x, keras.KerasTensor):
        return x.shape, x.dtype
    return x if isinstance(x, (bool, int, float, str, type(None))) else id(x)


def _check_filled(outputs: Any, name: str) -> None:
    """Refuse an output without numbers: a mean of nothing is NaN, and nothing can be compared."""
    for y in keras.tree.flatten(outputs):
        shape = getattr(y, "shape", ())
        if any(isinstance(n, int) and n < 1 for n in shape):
            raise _EmptyError(f"'{name}' has an empty output, {list(shape)}")
