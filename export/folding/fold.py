"""Fold batch norms into neighbouring weights: make a plan, build the folded model, compare it with the original."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import keras
from keras import tree

from ..errors import FoldError
from ..model.keras_graph import functional, inputs_of
from ..model.user_inputs import why_not_finite
from ..options import Tails
from ..report.fold_report import Folded, FoldReport, Kept
from .call_graph import Graph, Key
from .equivalence import TracedWrong, errors, errors_on_random, pair
from .inlining import trace_python_calls
from .plan import Plan
from .planner import search
from .rebuild import apply
from .traced_layers import TracedLayers
from .unwrapping import unwrap


class FoldResult(NamedTuple):
    """The folded model and what was done to each norm."""

    model: keras.Model
    report: FoldReport


def fold(model: keras.Model, *, standalone: Literal["depthwise"] | None = None, inputs: Any = None) -> FoldResult:
    """Merge every batch norm whose merging is exact into the weights of its neighbours.

    In inference a batch norm is A(z) = s z + t with s = gamma / sqrt(moving_variance + epsilon), t = beta -
    moving_mean s, per channel. A linear layer W before it becomes (s W) x + (s b + t); one behind it takes s in its
    kernel's input channels and W t in its bias. Wrappers with a constant kernel in inference
    (`keras_norms.WeightStandardization`, `keras.layers.SpectralNormalization`) become the plain layer with that kernel.

    Layer, RMS, group and instance norms stay, for their statistics are of their input, but give gamma and beta to the
    layers behind them, if every one of these can take them in; the scale of an RMS norm becomes 1.

    The given model is not changed. The folded one has new layers, of stock classes where a class changes at all;
    inputs, outputs and surviving layers keep names and structure. Before it is returned, it is compared with the
    original layer by layer on a small random batch.

    The `call` of a subclassed model, and of a custom layer that holds norms, is run once on symbolic tensors, as in
    inference; if layers and keras.ops are all it uses, the graph that results is folded, and held to what the Python
    code computes. The report's notes say so.

    Args:
        model: a built model: Sequential, Functional or subclassed, nested ones included.
        standalone: what becomes of a norm that folds into nothing. None: it stays. "depthwise": on a channels-last
            image it becomes a 1x1 depthwise convolution with bias, which converters fuse with an activation behind it;
            so a pre-activation network loses its norms too, and can train them no more as norms. Measure what it
            buys where the model is to run: on ResNet50V2 4 % in ONNX Runtime, nothing in LiteRT.
        inputs: a batch to compare on instead of a random one, as the model takes it, all of it finite. Needed only if
            the model accepts no random numbers, no size that is tried where sizes are free (1 to 4,096 of a sequence,
            1 to 512 of an image), or is subclassed and does not record the shapes that it takes.

    Returns:
        FoldResult(model, report): `report.folded` says what went where, `report.kept` what stayed and why,
            `report.tails` which norms gave their gamma and beta away.

    Raises:
        FoldError: If the model is no graph of layers and cannot be traced to one, a layer cannot be rebuilt from its
            config, or the folded model would not compute what the original does; also if `inputs` do not fit the model.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(8, 3, use_bias=False),
    ...     keras.layers.BatchNormalization(name="norm"),
    ... ])
    >>> folded, report = fold(model)
    >>> report.folded[0].norm
    'norm'

    Source: Jacob et al., Quantization and Training of Neural Networks, arXiv 1712.05877, section 3.2.
    """
    if standalone not in (None, "depthwise"):
        raise FoldError(f'standalone must be None or "depthwise"; received {standalone!r}.')
    return _unwrapped_and_folded(model, _Wish(standalone, inputs))


def fold_or_same(model: keras.Model, *, tails: Tails = "all", inputs: Any = None) -> FoldResult:
    """As `fold`; but of a model in which nothing folds the model itself, with no copy built and compared.

    `tails`: the norms that stay, and whose gamma and beta may fold. Where a batch norm stays, a layer that does not
    come back from its config may be the reason that a user wants to know: then `fold` does all its work.

    Raises:
        FoldError: As `fold`.
    """
    return _unwrapped_and_folded(model, _Wish(None, inputs, tails, same=True))


class _Wish(NamedTuple):
    """What is asked of a fold. `same`: the model itself serves where nothing folds."""

    standalone: Literal["depthwise"] | None = None
    inputs: Any = None
    tails: Tails = "all"
    same: bool = False


def _unwrapped_and_folded(model: keras.Model, wish: _Wish) -> FoldResult:
    plain, notes = unwrap(model, wish.inputs)
    folded, report = _fold_norms(plain, wish)
    return FoldResult(folded, _with_wrappers(report, model, notes))


def _with_wrappers(report: FoldReport, model: keras.Model, notes: list[str]) -> FoldReport:
    """The report, which tells of the wrappers too that were replaced before it began."""
    return replace(report, notes=[*notes, *report.notes], parameters_before=model.count_params()) if notes else report


def _fold_norms(model: keras.Model, wish: _Wish) -> FoldResult:
    traced_layers = trace_python_calls(model, wish.inputs)
    try:
        return _fold(model, traced_layers, wish)
    except TracedWrong as error:
        if functional(model) is None:
            raise
        # Then no custom layer in it is traced.
        refused = dict.fromkeys(traced_layers.cores, str(error))
        return _fold(model, TracedLayers(refused={**traced_layers.refused, **refused}), wish)


def _fold(model: keras.Model, traced_layers: TracedLayers, wish: _Wish) -> FoldResult:
    planned, traced_layers = _plan(model, traced_layers, wish)
    if wish.same and not planned.kept and not planned.folds:
        return FoldResult(model, _report(model, planned, {}, model, traced_layers))
    try:
        folded, tensors = apply(model, planned, traced_layers)
    except ValueError as error:
        if not traced_layers.cores:
            raise
        raise TracedWrong(f"What was traced cannot be built as a graph: {error}") from error
    original, result = Graph(model, traced_layers), Graph(folded)
    pairs = pair(original, result, tensors, planned.altered)
    if wish.inputs is None:
        found = errors_on_random(original, result, pairs, model)
    else:
        found = errors(original, result, pairs, _given(original, wish.inputs), model)
    return FoldResult(folded, _report(model, planned, found, folded, traced_layers))


def _plan(model: keras.Model, traced_layers: TracedLayers, wish: _Wish) -> tuple[Plan, TracedLayers]:
    """The plan, and the traced layers that it needs: a custom layer in which nothing folds stays one layer."""
    graph = Graph(model, traced_layers)
    planned = search(graph, wish.standalone is not None, wish.tails)
    changed = {*planned.removed, *planned.edits, *planned.standalone}
    used = dict.fromkeys(layer for layer in (model, *graph.layers_around(changed)) if traced_layers.holds(layer))
    if len(used) == len(traced_layers.cores):
        return planned, traced_layers
    fewer = traced_layers.only(used)
    again = search(Graph(model, fewer), wish.standalone is not None, wish.tails)
    # What is known of norms inside custom layers was found with all of them traced.
    again.kept = planned.kept
    return again, fewer


def fold_plan(model: keras.Model, *, inputs: Any = None) -> FoldReport:
    """What `fold` would do with each norm, without doing it: nothing is built, run or compared.

    But for wrappers of a constant kernel, which become plain layers first.

    Raises:
        FoldError: If the model is no graph of layers and cannot be traced to one.
    """
    plain, notes = unwrap(model, inputs)
    traced_layers = trace_python_calls(plain, inputs)
    planned, traced_layers = _plan(plain, traced_layers, _Wish())
    return _with_wrappers(_report(plain, planned, {}, plain, traced_layers), model, notes)


def _given(graph: Graph, inputs: Any) -> list[Any]:
    flat: list[Any] = tree.flatten(inputs)
    if len(flat) != len(graph.inputs):
        raise FoldError(f"The model {graph.name!r} has {len(graph.inputs)} inputs; received {len(flat)} in `inputs`.")
    for i, x in enumerate(flat):
        problem = why_not_finite(keras.ops.convert_to_numpy(x))
        if problem:
            raise FoldError(f"inputs{f', array {i},' if len(flat) > 1 else ''} {problem}")
    return flat


def _report(
    model: keras.Model, planned: Plan, found: dict[Key, float], folded: keras.Model, traced_layers: TracedLayers
) -> FoldReport:
    records = [Folded(f.norm, f.into, f.rule, _error(planned, i, found), f.saved) for i, f in enumerate(planned.folds)]
    return FoldReport(
        model=model.name,
        folded=[record for i, record in enumerate(records) if i not in planned.tails],
        kept=[Kept(norm, reason) for norm, reason in planned.kept],
        tails=[record for i, record in enumerate(records) if i in planned.tails],
        parameters_before=model.count_params(),
        parameters_after=folded.count_params(),
        notes=_notes(model, traced_layers),
    )


def _notes(model: keras.Model, traced_layers: TracedLayers) -> list[str]:
    notes = []
    if traced_layers.holds(model):
        takes = ", ".join(f"{x.name} {tuple(x.shape)}" for x in inputs_of(traced_layers.cores[model]))
        notes.append(
            f"{type(model).__name__} computes its output in Python code; its call was traced, as in inference, to a "
            f"graph of layers that takes {takes}"
        )
    opened = [f"{layer.name!r} ({type(layer).__name__})" for layer in traced_layers.cores if layer is not model]
    if opened:
        notes.append(
            "custom layers were opened, their calls being traced, as in inference, to models of their layers: "
            + ", ".join(opened)
        )
    return notes


def _error(planned: Plan, index: int, found: dict[Key, float]) -> float | None:
    """The error of a fold where it shows; a tensor that a later fold changed again shows where that one does."""
    seen, todo, worst = {index}, [index], None
    while todo:
        for key in planned.folds[todo.pop()].shows_at:
            later = planned.altered.get(key)
            if later is not None and later not in seen:
                seen.add(later)
                todo.append(later)
            elif key in found:
                worst = max(worst or 0.0, found[key])
    return worst
