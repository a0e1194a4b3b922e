"""Callbacks for `fit`."""

from __future__ import annotations

from typing import Any

import keras

from keras_norms import _arguments
from keras_norms._batches import check_batch_size, check_limit
from keras_norms._types import Flag, Integer
from keras_norms.recalibrate_report import RecalibrateReport
from keras_norms.recalibration import recalibrate


class Recalibrate(keras.callbacks.Callback):
    """Recalibrates the batch norms of the model at the end of training, see `keras_norms.recalibrate`.

    Averaged weights (an optimizer with `use_ema=True`, stochastic weight averaging) have no moving statistics of their
    own: those of training belong to other weights. `fit` puts the weights of `use_ema=True` in place before this
    callback runs; a callback that does so at the end of training has to stand before this one in the list.

    Args:
        data: Inputs, as for `recalibrate`. A generator is read once, so it serves one call of `fit`.
        batches: How many batches to read; None for all.
        batch_size: Samples in a batch, where `data` is arrays.
        sequential: Whether to measure one norm after another.
        verbose: Whether to print the report.

    Attributes:
        report: The `RecalibrateReport` of the last training; None before.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range; at the end of training, if `recalibrate` raises one.

    Example:

    >>> x, y = np.random.rand(8, 3), np.random.rand(8, 1)
    >>> model = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    >>> callback = Recalibrate(x)
    >>> history = model.fit(x, y, verbose=0, callbacks=[callback])
    >>> callback.report.samples
    8

    Reference: Izmailov et al., 2018, https://arxiv.org/abs/1803.05407, section 3.2.
    """

    def __init__(
        self,
        data: Any,
        *,
        batches: Integer | None = None,
        batch_size: Integer = 32,
        sequential: Flag = False,
        verbose: Flag = False,
    ) -> None:
        super().__init__()
        self.data = data
        self.batches = check_limit(batches)
        self.batch_size = check_batch_size(batch_size)
        self.sequential = _arguments.flag("sequential", sequential)
        self.verbose = _arguments.flag("verbose", verbose)
        self.report: RecalibrateReport | None = None

    def on_train_end(self, _logs: Any = None) -> None:
        """Recalibrate the model."""
        self.report = recalibrate(
            self.model, self.data, batches=self.batches, batch_size=self.batch_size, sequential=self.sequential
        )
        if self.verbose:
            print(self.report)
