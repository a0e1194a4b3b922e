"""Callbacks for `fit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras

from keras_norms import _arguments
from keras_norms._batches import can_be_read_again, check_batch_size, check_limit
from keras_norms._norms import batch_norms_of
from keras_norms._statistics_of_norms import observe
from keras_norms._types import Flag, Integer
from keras_norms.batch_renormalization import BatchRenormalization
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


class RenormMonitor(keras.callbacks.Callback):
    """Logs at the end of each epoch how far batch renormalization corrects, and how much of that it clips.

        r = sigma_B / sigma        d = (mean_B - moving_mean) / sigma        of each batch and channel, before clipping

    For each batch renorm "NORM/r" (mean), "NORM/d" (mean of |d|), "NORM/r_clipped" and "NORM/d_clipped" (shares beyond
    the limits), "NORM/r_max" and "NORM/d_max" (the limits at this step) become entries of the logs. So `CSVLogger` and
    `TensorBoard` have them if they stand behind this callback in the list; the history always does. If much is clipped
    for long, the limits open too slowly, or the batches are too small for their statistics.

    The batches are run as in inference, and nothing in the model changes.

    Args:
        data: Training inputs, as for `recalibrate`. Read at the end of each epoch, so not a generator.
        batches: How many batches to read; None for all.
        batch_size: Samples in a batch, where `data` is arrays: that of training.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range or the data can be read only once; at the end of an epoch, if it is
            empty or has no end.

    Example:

    >>> x, y = np.random.rand(8, 3), np.random.rand(8, 1)
    >>> layers = [keras.Input((3,)), keras_norms.BatchRenormalization(name="norm"), keras.layers.Dense(1)]
    >>> model = keras.Sequential(layers)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(x, y, batch_size=2, verbose=0, callbacks=[RenormMonitor(x, batch_size=2)])
    >>> history.history["norm/r_max"]
    [1.0]

    Reference: Ioffe, 2017, https://arxiv.org/abs/1702.03275, section 3.2.
    """

    def __init__(self, data: Any, *, batches: Integer | None = 8, batch_size: Integer = 32) -> None:
        super().__init__()
        if not can_be_read_again(data):
            raise ValueError(
                "RenormMonitor reads `data` at the end of every epoch. "
                f"Received: {type(data).__name__}, which can be read only once. Give arrays or a dataset."
            )
        self.data = data
        self.batches = check_limit(batches)
        self.batch_size = check_batch_size(batch_size)

    def on_epoch_end(self, _epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add to the logs."""
        norms = [norm for norm in batch_norms_of(self.model) if isinstance(norm.layer, BatchRenormalization)]
        if not norms or logs is None:
            return
        seen, _, _ = observe(self.model, norms, self.data, self.batches, self.batch_size)
        for norm in seen:
            clipping = norm.clipping()
            if clipping is not None:
                logs.update({f"{norm.name}/{name}": value for name, value in asdict(clipping).items()})
