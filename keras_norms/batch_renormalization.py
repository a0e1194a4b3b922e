"""Batch renormalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_norms import _torch_state
from keras_norms._keywords import LayerArguments, without
from keras_norms._statistics import Statistics
from keras_norms._types import (
    Config,
    Constraint,
    Correct,
    Flag,
    Initializer,
    Integer,
    Number,
    Regularizer,
    Shape,
    Tensor,
    Variable,
)
from keras_norms.batch_normalization import BatchNormalization
from keras_norms.renorm_schedule import RenormSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


@keras.saving.register_keras_serializable(package="keras_norms")
class BatchRenormalization(BatchNormalization):
    """Batch normalization whose training outputs, as those in inference, follow the moving statistics.

        sigma_B = sqrt(var_B + epsilon)        sigma = sqrt(moving_variance + epsilon)
        r = stop_gradient(clip(sigma_B / sigma, 1 / r_max, r_max))
        d = stop_gradient(clip((mean_B - moving_mean) / sigma, -d_max, d_max))
        y = gamma * ((x - mean_B) / sigma_B * r + d) + beta                          training
        y = gamma * (x - moving_mean) / sigma + beta                                 inference

        moving_mean <- moving_mean + (1 - momentum) * (mean_B - moving_mean)         after their use
        sigma       <- sigma       + (1 - momentum) * (sigma_B - sigma)

    When to use it: batches of a few samples, or batches that are not independent samples (frames of one video, a few
    classes at a time), where batch normalization trains on statistics that inference will not see. With large mixed
    batches it gains nothing. If the model does not need batch statistics, group or layer normalization is better still
    on batches of two. Let `schedule` open the limits once the moving statistics have settled: until `warmup_steps` this
    layer is batch normalization.

    The weights are those of batch normalization (gamma, beta, moving_mean, moving_variance), then an integer `step`
    that counts training steps (not those whose batch is empty or fully masked). moving_variance is sigma^2 - epsilon
    with sigma averaged, as in the paper. `keras.layers.BatchNormalization(renorm=True)` differs: it keeps a second pair
    of moving statistics for r and d; its limits do not change with the step, there are none unless they are given, and
    without `rmin` r has no lower one. `set_weights` accepts its seven weights and batch normalization's four.

    Example:

    >>> layer = BatchRenormalization(schedule=RenormSchedule.for_training(total_steps=10_000))
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]], dtype="float32")
    >>> y = layer(x, training=True)
    >>> [weight.name for weight in layer.weights]
    ['gamma', 'beta', 'moving_mean', 'moving_variance', 'step']
    >>> int(layer.step)
    1

    Args:
        axis: The channel axis: -1 for channels-last, 1 for channels-first data. Not the batch axis.
        momentum: Share of a moving statistic that one training step keeps, from 0 to 1.
        epsilon: Added to the variance, at least 0.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        moving_mean_initializer: Initializer of `moving_mean`.
        moving_variance_initializer: Initializer of `moving_variance`.
        beta_regularizer: Regularizer of `beta`.
        gamma_regularizer: Regularizer of `gamma`.
        beta_constraint: Constraint of `beta`.
        gamma_constraint: Constraint of `gamma`.
        schedule: A `RenormSchedule`: r_max and d_max at each training step. The default is `RenormSchedule()`.
        synchronized: Whether statistics are taken over all replicas of a TensorFlow distribution strategy. On JAX, the
            statistics of a batch that is sharded over devices are always those of the whole batch.
        virtual_batch_size: Number of samples in a slice with training statistics of its own (ghost batches); None for
            the whole batch. If it does not divide the batch, the last slice is smaller. The moving statistics move by
            the mean over the slices, weighted by their sizes.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of rank 2 or more.
        training: Whether to use, and update, statistics of the batch. A layer with `trainable = False` never does, as
            in Keras.
        mask: Which positions count: a boolean tensor over the axes of `inputs` other than `axis`. Masked positions are
            left out of the statistics whatever they hold, and are themselves normalized like the others. If no position
            of a batch counts, the moving statistics normalize it and stay as they are.

    Input shape: (batch, ..., channels), or with the channels at `axis`.

    Output shape: that of the input, in the policy's compute dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `BatchNormalization` would raise one, or if `renorm_clipping` is given in place of a schedule.

    Precision: statistics are taken in float32 or wider. Against float64, outputs of float32 inputs of unit variance are
    exact to 1e-4 at a mean of 1e4 and to 2e-3 at a mean of 1e6. TensorFlow's fused kernel is less exact than that: if a
    channel's mean is more than 4 standard deviations from zero, the kernel runs once more, on a centred input. XLA does
    not use the kernel.

    Gradient accumulation: each of the small batches is a step of `schedule` and moves the moving statistics, so count
    calls, not updates. On digits, 200 updates: 98.0 % with 16 batches of 2 for each, 98.1 % with one batch of 32.

    Export: as batch normalization.

    Reference: Ioffe, 2017, https://arxiv.org/abs/1702.03275, algorithm 1.
    """

    def __init__(
        self,
        axis: Integer = -1,
        momentum: Number = 0.99,
        epsilon: Number = 1e-3,
        center: Flag = True,
        scale: Flag = True,
        beta_initializer: Initializer = "zeros",
        gamma_initializer: Initializer = "ones",
        moving_mean_initializer: Initializer = "zeros",
        moving_variance_initializer: Initializer = "ones",
        beta_regularizer: Regularizer = None,
        gamma_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        gamma_constraint: Constraint = None,
        *,
        schedule: RenormSchedule | None = None,
        synchronized: Flag = False,
        virtual_batch_size: Integer | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            synchronized=synchronized,
            virtual_batch_size=virtual_batch_size,
            **kwargs,
        )
        self.schedule = _schedule(schedule)
        self.step: Variable = None
        self._corrections = _torch_state.Remembered()

    @staticmethod
    def _without_renorm(given: Mapping[str, object]) -> LayerArguments:
        """The given arguments without the three about renorm. Whatever `renorm` says, this layer renormalizes."""
        clipping = given.get("renorm_clipping")
        if clipping:
            raise ValueError(
                "Batch renormalization clips by its schedule. "
                f"Received: renorm_clipping={clipping!r}. Use schedule=RenormSchedule.constant(r_max, d_max)."
            )
        return without(given, "renorm", "renorm_clipping", "renorm_momentum")

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def _correct(self, moving: Statistics) -> Correct:
        dtype = moving.variance.dtype
        step = ops.convert_to_tensor(self.step)
        if _torch_state.can_be_read(step):
            r_max, d_max = self.schedule(int(step))
        else:
            r_max, d_max = (ops.cast(limit, dtype) for limit in self.schedule(step))
        sigma = ops.sqrt(moving.variance + self.epsilon)

        def correction(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
            r = ops.clip(ops.sqrt(variance + self.epsilon) / sigma, 1.0 / r_max, r_max)
            d = ops.clip((mean - moving.mean) / sigma, -d_max, d_max)
            return ops.stop_gradient(r), ops.stop_gradient(d)

        if not _torch_state.is_backend():
            return correction
        return lambda mean, variance: self._corrections.of(mean, lambda: correction(mean, variance))

    def _update(self, batch: Statistics, count: Tensor, moving: Statistics) -> None:
        rate = 1.0 - self.momentum
        sigma = ops.sqrt(moving.variance + self.epsilon)
        # sigma_B - sigma, and below (sigma + rate * gap)^2 - epsilon, written so that epsilon does not swamp a small
        # variance.
        gap = (batch.variance - moving.variance) / (ops.sqrt(batch.variance + self.epsilon) + sigma)
        moved = moving.variance + rate * gap * (2.0 * sigma + rate * gap)
        self._assign(self.moving_mean, moving.mean + rate * (batch.mean - moving.mean), count)
        # Not by ops.maximum, which narrows float64 on PyTorch.
        self._assign(self.moving_variance, ops.where(moved < 0.0, ops.zeros((), dtype=moved.dtype), moved), count)
        some = count > 0 if isinstance(count, int) else ops.max(count) > 0
        if not _torch_state.computes_again():
            self.step.assign(self.step + ops.cast(some, "int32"))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the weights from a list of arrays.

        Besides this layer's own list, the list of a batch normalization is accepted, which leaves the step as it is,
        and Keras' list of seven with `renorm=True`: moving_stddev, renorm_mean and renorm_stddev are not needed here.
        """
        plain = int(self.scale) + int(self.center) + 2
        if self.built and len(weights) in (plain, plain + 3):
            weights = [*weights[:plain], self.step.numpy()]
        super().set_weights(weights)

    def get_config(self) -> Config:
        return {**super().get_config(), "schedule": keras.saving.serialize_keras_object(self.schedule)}


def _schedule(schedule: object) -> RenormSchedule:
    if schedule is None:
        return RenormSchedule()
    if isinstance(schedule, dict):
        schedule = keras.saving.deserialize_keras_object(schedule)
    if not isinstance(schedule, RenormSchedule):
        raise TypeError(
            f"`schedule` has to be a RenormSchedule. Received: schedule={schedule!r}. "
            "Use RenormSchedule(...), RenormSchedule.constant(r_max, d_max) or RenormSchedule.for_training(steps)."
        )
    return schedule
