"""Moving statistics taken anew: the pooled moments of data, for the weights that a model has now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from keras import ops

from keras_norms import _arguments, _torch_state
from keras_norms._batch_statistics import assign_statistics, moments_of, normalized_by, statistics_of
from keras_norms._batches import batches_of, can_be_read_again, check_batch_size, check_limit, size_of
from keras_norms._norm_calls import NormCall, norm_calls
from keras_norms._norms import BATCH_NORMS, Norm, batch_norms_of, check_model, computes_as_named
from keras_norms._pooled_moments import PooledMoments
from keras_norms._types import Flag, Integer, Tensor
from keras_norms.recalibrate_report import RecalibratedNorm, RecalibrateReport


def recalibrate(
    model: Any,
    data: Any,
    *,
    batches: Integer | None = None,
    batch_size: Integer = 32,
    sequential: Flag = False,
) -> RecalibrateReport:
    """Makes the moving statistics of every batch norm the pooled moments of data, in place.

        moving_mean = sum(x) / n        moving_variance = sum(x ** 2) / n - moving_mean ** 2

    with the sums over all batches and n the number of positions that count, in float64 and without cancellation;
    padding that a mask leaves out does not count, and a short last batch counts for as much as it holds. Needed where
    weights changed without a training step: averaged (stochastic weight averaging, `use_ema`), pruned, merged, read
    from elsewhere; and where moving averages are poor: tiny batches, few steps, another distribution of data.

    The model runs as in inference, without dropout. In one pass, each norm hands on what the statistics of the batch
    make of it, since its moving statistics may be wrong: so the batches should be large, or as in training. With
    `sequential`, each norm is measured behind norms that have their new statistics already, which is what inference
    will see whatever the batch size, at the cost of one pass for each norm, up to that norm.

    A norm with `trainable = False` is frozen: it is left alone, and runs on its moving statistics. Gamma, beta and the
    step of batch renormalization stay as they are. If anything fails, the model is as before.

    Args:
        model: A built model of any kind, with norms of this package or of Keras at any depth.
        data: As for `fit`: an array; a dict of arrays, or a list of one for each of several inputs; a tuple of inputs,
            targets and weights, of which the inputs count; or an iterable of batches, each of them inputs or such a
            tuple: a list, a generator, a `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch `DataLoader`.
        batches: How many batches to read; None for all.
        batch_size: Samples in a batch, where `data` is arrays.
        sequential: Whether to measure one norm after another. The data is then read once for each norm.

    Returns:
        A `RecalibrateReport`: by how many deviations each norm moved, and which were left alone and why.

    Raises:
        TypeError: If `model` is no Keras model, or `data` no data.
        ValueError: If the model is not built, the data is empty, has no end or can be read only once although it is
            needed more often, or a norm is given numbers that are not finite.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(name="norm")])
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 20.0]], dtype="float32")
    >>> report = recalibrate(model, x)
    >>> report.norms[0].norm, report.norms[0].positions, round(report.norms[0].mean_moved, 2)
    ('norm', 3, 19.99)
    >>> print(keras.ops.convert_to_numpy(model.layers[0].moving_mean))
    [ 3. 20.]

    Reference: Wu and Johnson, 2021, https://arxiv.org/abs/2105.07576, section 3; Izmailov et al., 2018,
    https://arxiv.org/abs/1803.05407, section 3.2.
    """
    check_model(model, "recalibrate")
    limit, size = check_limit(batches), check_batch_size(batch_size)
    norms, left = _split(batch_norms_of(model))
    if not norms:
        return RecalibrateReport((), tuple(left), 0, 0)
    if _arguments.flag("sequential", sequential) and len(norms) > 1 and not can_be_read_again(data):
        raise ValueError(
            f"With sequential=True, `data` is read once for each of {len(norms)} norms. Received: "
            f"{type(data).__name__}, which can be read only once. Give arrays, a list of batches or a dataset."
        )
    run = _Run(model, norms)
    try:
        if sequential:
            run.one_by_one(lambda: batches_of(model, data, size, limit))
        else:
            run.all_at_once(batches_of(model, data, size, limit))
    except BaseException:
        run.undo()
        raise
    unseen = [(n.name, "no position of the data reaches it") for n in norms if not run.moments[n].count]
    return RecalibrateReport(run.report(), (*left, *unseen), run.batches, run.samples)


def _split(found: Sequence[Norm]) -> tuple[list[Norm], list[tuple[str, str]]]:
    norms, left = [], []
    for norm in found:
        if not norm.layer.trainable:
            left.append((norm.name, "it is frozen (trainable=False)"))
        elif not computes_as_named(norm.layer, BATCH_NORMS):
            left.append((norm.name, f"its class {type(norm.layer).__name__} has a call of its own"))
        elif norm.layer.moving_mean is None:
            left.append((norm.name, "it is not built"))
        else:
            norms.append(norm)
    return norms, left


class _ReachedError(Exception):
    """The norm that is measured has seen its batch: the rest of the model need not run."""


class _Run:
    """Measures norms and gives them their new statistics."""

    def __init__(self, model: Any, norms: Sequence[Norm]) -> None:
        self.model, self.norms = model, norms
        self.of = {id(norm.layer): norm for norm in norms}
        self.moments = {norm: PooledMoments(norm.layer.moving_mean.shape[0]) for norm in norms}
        self.before = {norm: [ops.convert_to_numpy(w) for w in statistics_of(norm.layer)] for norm in norms}
        self.order: dict[Norm, int] = {}  # calls of each norm in a batch, in the order of their first
        self.batches = self.samples = 0

    def all_at_once(self, batches: Any) -> None:
        with norm_calls([norm.layer for norm in self.norms], self._measure):
            for batch in batches:
                self._run(batch)
        for norm in self.norms:
            self._assign(norm)

    def one_by_one(self, batches: Any) -> None:
        first = next(iter(batches()))
        with norm_calls([norm.layer for norm in self.norms], self._see):
            self._run(first)
        for norm in list(self.order):
            self.batches = self.samples = 0
            with norm_calls([norm.layer], self._measure if self.order[norm] > 1 else self._measure_and_stop):
                for batch in batches():
                    with suppress(_ReachedError):
                        self._run(batch)
            self._assign(norm)

    def undo(self) -> None:
        for norm in self.norms:
            for weight, value in zip(statistics_of(norm.layer), self.before[norm], strict=True):
                weight.assign(value)

    def _run(self, batch: Any) -> None:
        self.batches += 1
        self.samples += size_of(batch)
        with _torch_state.no_gradients():
            self.model(batch, training=False)

    # What happens where a norm is called

    def _see(self, call: NormCall) -> Tensor:
        norm = self.of[id(call.layer)]
        self.order[norm] = self.order.get(norm, 0) + 1
        return call.compute()

    def _measure(self, call: NormCall) -> Tensor:
        moments = moments_of(call)
        self.moments[self.of[id(call.layer)]].merge(moments)
        return normalized_by(call, moments) if moments.count else call.compute()

    def _measure_and_stop(self, call: NormCall) -> Tensor:
        self.moments[self.of[id(call.layer)]].merge(moments_of(call))
        raise _ReachedError

    # The results

    def _assign(self, norm: Norm) -> None:
        moments = self.moments[norm]
        if not moments.count:
            return
        if not (np.all(np.isfinite(moments.mean)) and np.all(np.isfinite(moments.variance))):
            raise ValueError(
                f"What a norm is given has to be finite. Received: numbers that are not, at the norm {norm.name!r}. "
                "Look for them in the data and in the weights before that norm."
            )
        assign_statistics(norm.layer, moments.mean, moments.variance)

    def report(self) -> tuple[RecalibratedNorm, ...]:
        records = []
        for norm in self.norms:
            moments = self.moments[norm]
            if not moments.count:
                continue
            mean, variance = (np.asarray(w, "float64") for w in self.before[norm][:2])
            deviation = np.sqrt(np.maximum(variance, 0.0) + max(norm.layer.epsilon, 1e-30))
            ratio = np.sqrt(moments.variance + max(norm.layer.epsilon, 1e-30)) / deviation
            moved = float(np.max(np.abs(moments.mean - mean) / deviation))
            records.append(
                RecalibratedNorm(norm.name, moments.count, moved, float(np.min(ratio)), float(np.max(ratio)))
            )
        return tuple(records)
