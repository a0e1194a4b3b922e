"""Batch normalization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import keras
from keras import initializers, ops

from keras_norms import _arguments, _axes, _tensorflow, _tensorflow_batch, _torch, _torch_state
from keras_norms._affine import AffineNormalization, cast, shaped, wide
from keras_norms._ghost import ghost_batches, mean_of_ghosts, merge_ghosts
from keras_norms._keywords import LayerArguments, without
from keras_norms._replicas import check_one_width, check_synchronized, sum_over_replicas
from keras_norms._statistics import Statistics, affine, at_least_one, corrected, counted_sum, first_of, moments
from keras_norms._statistics import position_count as count_of
from keras_norms._types import (
    Config,
    Constraint,
    Correct,
    Dtype,
    Flag,
    Initializer,
    Integer,
    Number,
    Regularizer,
    Shape,
    Tensor,
    Variable,
    Wrap,
)
from keras_norms._updated_once import UpdatedOnce

if TYPE_CHECKING:
    from typing_extensions import Unpack


@keras.saving.register_keras_serializable(package="keras_norms")
class BatchNormalization(UpdatedOnce, AffineNormalization):
    """Normalizes each channel by its mean and variance over the batch.

        y = gamma * (x - mean_B) / sqrt(var_B + epsilon) + beta                      training
        y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta       inference

        moving_mean     <- moving_mean     + (1 - momentum) * (mean_B - moving_mean)
        moving_variance <- moving_variance + (1 - momentum) * (var_B - moving_variance)

    mean_B and var_B, the biased variance, are taken over all axes but `axis`; gamma, beta and the moving statistics
    have one entry for each channel. Weights, their order and their meaning are those of
    `keras.layers.BatchNormalization`.

    Example:

    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]], dtype="float32")
    >>> layer = BatchNormalization(epsilon=0.0, momentum=0.75)
    >>> print(keras.ops.convert_to_numpy(layer(x, training=True)))
    [[-1. -1.]
     [ 1.  1.]]
    >>> print(keras.ops.convert_to_numpy(layer.moving_mean))
    [0.5 5. ]

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
        ValueError: If an argument is out of range, `axis` is the batch axis or no axis of the input, the number of
            channels is unknown, the mask does not fit, or the backend has no replicas to synchronize.

    Precision: statistics are taken in float32 or wider. Against float64, outputs of float32 inputs of unit variance are
    exact to 1e-4 at a mean of 1e4 and to 2e-3 at a mean of 1e6. TensorFlow's fused kernel is less exact than that: if a
    channel's mean is more than 4 standard deviations from zero, the kernel runs once more, on a centred input. XLA does
    not use the kernel.

    Gradient accumulation: each of the small batches normalizes by its own statistics and moves the moving ones, which
    so follow the weights closer, at no cost. Digits, 200 updates of 16 batches of 2: 97.9 % (recalibrated 98.0).
    With a momentum that counts examples, 0.99 ** (1 / 16), they lag as those of 200 batches of 32 do: 90.8 and 74.4 %.

    Export: folds into a convolution or dense layer before or after it; what cannot fold becomes one multiplication and
    one addition.

    Reference: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.
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
        synchronized: Flag = False,
        virtual_batch_size: Integer | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **self._without_renorm(kwargs),
        )
        self.axis = _arguments.axis(axis)
        self.momentum = _arguments.momentum(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.synchronized = check_synchronized(_arguments.flag("synchronized", synchronized))
        self.virtual_batch_size = _arguments.virtual_batch_size(virtual_batch_size)
        check_one_width(self.synchronized, self.virtual_batch_size)
        self.moving_mean: Variable = None
        self.moving_variance: Variable = None

    @staticmethod
    def _without_renorm(given: Mapping[str, object]) -> LayerArguments:
        """The given arguments without the three about renorm, which a config of Keras' batch normalization contains."""
        if given.get("renorm"):
            raise ValueError(
                "`renorm` is not an argument of keras_norms.BatchNormalization. Received: renorm=True. "
                "Use keras_norms.BatchRenormalization, and its `schedule` for the clipping."
            )
        return without(given, "renorm", "renorm_clipping", "renorm_momentum")

    def build(self, input_shape: Shape) -> None:
        axis = _axes.channel_axis(self.axis, input_shape, type(self).__name__)
        shape = (input_shape[axis],)
        self._add_gamma_and_beta(shape)
        self.moving_mean = self._add_statistic("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._add_statistic("moving_variance", shape, self.moving_variance_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})

    def _add_statistic(self, name: str, shape: Shape, initializer: Initializer) -> Variable:
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False, aggregation="mean"
        )

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        inputs = ops.convert_to_tensor(inputs)
        axis = self.axis % len(inputs.shape)
        # As in Keras, a frozen layer runs in inference mode.
        if training and self.trainable:
            return self._train(inputs, axis, mask, lambda normalize: normalize)
        return cast(self._infer(inputs, axis), self.compute_dtype)

    def _infer(self, inputs: Tensor, axis: int) -> Tensor:
        x = self._widen(inputs)
        shape = _axes.broadcast_shape([axis], x.shape)
        gamma, beta = self._gamma_and_beta(x.dtype, shape)
        mean, variance = self._moving_statistics(x.dtype, shape)
        scale = ops.rsqrt(variance + self.epsilon)
        return affine(x - mean, None, scale if gamma is None else scale * gamma, beta)

    def _moving_statistics(self, dtype: Dtype, shape: Shape | None = None) -> Statistics:
        return Statistics(*(shaped(w, dtype, shape) for w in (self.moving_mean, self.moving_variance)))

    def _train(self, inputs: Tensor, axis: int, mask: Tensor | None, wrap: Wrap) -> Tensor:
        """wrap takes the function that normalizes, and returns it or another one with the same outputs."""
        whole = mask is None and self.virtual_batch_size is None and not self.synchronized
        if whole and axis == len(inputs.shape) - 1:
            if _tensorflow.takes(inputs, self.gamma, self.beta):
                # The kernel accepts half precision, but then rounds its output to it as well.
                half = keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
                x = inputs if half else self._widen(inputs)
                return self._train_channels_last(x, _tensorflow_batch.batch_norm, wrap)
            if _torch_state.takes(inputs) and count_of(inputs, range(axis), None, "int32") > 1:
                return self._train_channels_last(self._widen(inputs), _torch.batch_norm, wrap)
        x = self._widen(inputs)
        if mask is not None:
            mask = _axes.expand_mask(mask, x, axis)
        if self.virtual_batch_size is None:
            return self._train_on(x, axis, mask, tuple(a for a in range(len(x.shape)) if a != axis), wrap)
        x_ghosts, mask = ghost_batches(x, mask, self.virtual_batch_size)
        axis = axis + 1
        y = self._train_on(x_ghosts, axis, mask, tuple(a for a in range(1, len(x_ghosts.shape)) if a != axis), wrap)
        return merge_ghosts(y, x)

    def _train_channels_last(self, x: Tensor, batch_norm: Callable[..., tuple[Tensor, ...]], wrap: Wrap) -> Tensor:
        dtype = wide(x.dtype)
        moving = self._moving_statistics(dtype)
        correct = self._correct(moving)

        def normalize(x: Tensor) -> tuple[Tensor, ...]:
            y, mean, variance = batch_norm(x, *self._gamma_and_beta(dtype), self.epsilon, correct)
            return cast(y, self.compute_dtype), mean, variance

        y, mean, variance = wrap(normalize)(x)
        count = count_of(x, range(len(x.shape) - 1), None, dtype)
        self._update(Statistics(mean, variance).where(count, moving), count, moving)
        return y

    def _train_on(self, x: Tensor, axis: int, mask: Tensor | None, axes: tuple[int, ...], wrap: Wrap) -> Tensor:
        shape = _axes.broadcast_shape([axis], x.shape)
        moving = self._moving_statistics(x.dtype, shape)
        correct = self._correct(moving)
        count = count_of(x, axes, mask, x.dtype)
        if self.synchronized:
            count = sum_over_replicas(ops.cast(count, x.dtype))
        divisor = at_least_one(count)

        def mean_of(v: Tensor) -> Tensor:
            total = counted_sum(v, axes, mask)
            return (sum_over_replicas(total) if self.synchronized else total) / divisor

        def normalize(x: Tensor) -> tuple[Tensor, ...]:
            gamma, beta = self._gamma_and_beta(x.dtype, shape)
            found = moments(x, mean_of, first_of(x, axes) if mask is None and not self.synchronized else None)
            batch = Statistics(found.mean, found.variance).where(count, moving)
            scale = ops.rsqrt(batch.variance + self.epsilon)
            if correct is not None:
                scale, beta = corrected(scale, gamma, beta, *correct(batch.mean, batch.variance))
            # x - pivot - offset is more exact than x - mean, as the mean is rounded.
            nothing = Statistics(moving.mean - found.pivot, moving.variance)
            offset = Statistics(found.offset, found.variance).where(count, nothing).mean
            y = affine(found.centred, offset, scale if gamma is None else scale * gamma, beta)
            return cast(y, self.compute_dtype), batch.mean, batch.variance

        y, mean, variance = wrap(normalize)(x)
        self._update(Statistics(mean, variance), count, moving)
        return y

    def _correct(self, _moving: Statistics) -> Correct | None:
        """The function that gives batch renormalization's (r, d), with the weights as they are now; otherwise None."""
        return None

    def _update(self, batch: Statistics, count: Tensor, moving: Statistics) -> None:
        rate = 1.0 - self.momentum
        self._assign(self.moving_mean, moving.mean + rate * (batch.mean - moving.mean), count)
        self._assign(self.moving_variance, moving.variance + rate * (batch.variance - moving.variance), count)

    def _assign(self, weight: Variable, value: Tensor, count: Tensor) -> None:
        """Assigns value to weight. If batches are virtual, value has an entry for each; their weighted mean counts."""
        if self.virtual_batch_size is not None:
            value = mean_of_ghosts(value, count, weight)
        if _torch_state.computes_again():
            return
        if tuple(value.shape) != tuple(weight.shape):
            value = ops.reshape(value, weight.shape)
        weight.assign(ops.stop_gradient(ops.cast(value, weight.dtype)))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": self.synchronized,
            "virtual_batch_size": self.virtual_batch_size,
        }
