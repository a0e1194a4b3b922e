"""What the norms of a model are given, seen beside what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_norms import _torch_state
from keras_norms._batches import batches_of, check_batch_size, check_limit, size_of
from keras_norms._norm_calls import NormCall, norm_calls
from keras_norms._norms import Norm, check_model, norms_of
from keras_norms._observed_norm import Observed
from keras_norms._types import Integer, Tensor
from keras_norms.norm_report import NormReport


def norm_statistics(model: Any, data: Any, *, batches: Integer | None = None, batch_size: Integer = 32) -> NormReport:
    """Tells of every norm what data show: dead channels, drift of statistics, clipping, epsilon, half precision.

        mean_off = (data_mean - moving_mean) / sqrt(moving_variance + epsilon)
        deviation = sqrt((data_variance + epsilon) / (moving_variance + epsilon))

    with the mean and variance of the data. The model runs as in inference, and nothing in it changes. A large
    `mean off`, or a `deviation` far from 1, asks for `recalibrate`; a large `batch mean off`, for larger batches, batch
    renorm or a norm of the sample; an `epsilon` of more than a few percent, for a smaller one; a clipping of batch
    renorm that never opens, for another schedule.

    Args:
        model: A built model of any kind, with norms of this package or of Keras at any depth.
        data: As for `recalibrate`.
        batches: How many batches to read; None for all.
        batch_size: Samples in a batch, where `data` is arrays; as in training, for what is told of batches.

    Returns:
        A `NormReport`, which prints as a table; `keras-norms inspect MODEL --data FILE` writes it as a page too.

    Raises:
        TypeError: If `model` is no Keras model, or `data` no data.
        ValueError: If the model is not built, or the data is empty or has no end.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(name="norm")])
    >>> report = norm_statistics(model, np.array([[1.0, 10.0], [3.0, 10.0]], dtype="float32"))
    >>> norm = report.norms[0]
    >>> norm.norm, norm.dead_variance, round(norm.mean_off, 1), round(norm.deviation_smallest, 2)
    ('norm', 1, 10.0, 0.03)

    Reference: Wu and Johnson, 2021, https://arxiv.org/abs/2105.07576.
    """
    check_model(model, "norm_statistics")
    seen, count, samples = observe(model, norms_of(model), data, batches, batch_size)
    return NormReport(tuple(norm.result() for norm in seen), count, samples)


def observe(
    model: Any, norms: Sequence[Norm], data: Any, batches: Integer | None, batch_size: Integer
) -> tuple[list[Observed], int, int]:
    """What these norms are given; those that were called, and how many batches and samples there were."""
    size, limit = check_batch_size(batch_size), check_limit(batches)
    seen = {id(norm.layer): Observed(norm.name, norm.layer) for norm in norms}
    count = samples = 0

    def look(call: NormCall) -> Tensor:
        seen[id(call.layer)].add(call)
        return call.compute()

    with norm_calls([norm.layer for norm in norms], look):
        for batch in batches_of(model, data, size, limit):
            count, samples = count + 1, samples + size_of(batch)
            with _torch_state.no_gradients():
                model(batch, training=False)
    return [norm for norm in seen.values() if norm.largest is not None], count, samples
