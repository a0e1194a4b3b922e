"""Batch renormalization.

sigma_B = sqrt(var_B + epsilon)        sigma = sqrt(moving_variance + epsilon)
r = stop_gradient(clip(sigma_B / sigma, 1/r_max, r_max))
d = stop_gradient(clip((mu_B - mu) / sigma, -d_max, d_max))
y = gamma * ((x - mu_B) / sigma_B * r + d) + beta
mu    <- mu    + (1 - momentum) * (mu_B - mu)
sigma <- sigma + (1 - momentum) * (sigma_B - sigma)
"""

import keras
from keras import ops

from keras_norms.batch_normalization import BatchNormalization
from keras_norms.renorm_schedule import RenormSchedule


@keras.saving.register_keras_serializable(package="keras_norms")
class BatchRenormalization(BatchNormalization):
    """Batch normalization whose training output approaches its inference output."""

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        *,
        schedule=None,
        synchronized=False,
        virtual_batch_size=None,
        **kwargs,
    ):
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
        self.step = None

    @staticmethod
    def _refuse_renorm(kwargs):
        # A config of keras.layers.BatchNormalization carries these three; True or False, this layer renormalizes.
        kwargs.pop("renorm", None)
        kwargs.pop("renorm_momentum", None)
        clipping = kwargs.pop("renorm_clipping", None)
        if clipping:
            raise ValueError(
                "Batch renormalization clips by its schedule. "
                f"Received: renorm_clipping={clipping!r}. Use schedule=RenormSchedule.constant(r_max, d_max)."
            )

    def build(self, input_shape):
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

    _renormalizes = True

    def _correction(self, batch, moving):
        dtype = moving.variance.dtype
        r_max, d_max = (ops.cast(limit, dtype) for limit in self.schedule(ops.convert_to_tensor(self.step)))
        sigma_batch, sigma = ops.sqrt(batch.variance + self.epsilon), ops.sqrt(moving.variance + self.epsilon)
        r = ops.clip(sigma_batch / sigma, 1.0 / r_max, r_max)
        d = ops.clip((batch.mean - moving.mean) / sigma, -d_max, d_max)
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def _update(self, batch, count, moving):
        rate = 1.0 - self.momentum
        sigma = ops.sqrt(moving.variance + self.epsilon)
        # sigma_B - sigma, and below (sigma + rate * gap)^2 - epsilon, written so that epsilon does not swamp a small
        # variance.
        gap = (batch.variance - moving.variance) / (ops.sqrt(batch.variance + self.epsilon) + sigma)
        moved = moving.variance + rate * gap * (2.0 * sigma + rate * gap)
        self._assign(self.moving_mean, moving.mean + rate * (batch.mean - moving.mean), count)
        self._assign(self.moving_variance, ops.maximum(moved, 0.0), count)
        some = count > 0 if isinstance(count, int) else ops.max(count) > 0
        self.step.assign(self.step + ops.cast(some, "int32"))

    def set_weights(self, weights):
        """Sets the weights from a list of arrays.

        Besides this layer's own list, the list of a batch normalization is accepted, which leaves the step as it is,
        and Keras' list of seven with `renorm=True`: moving_stddev, renorm_mean and renorm_stddev are not needed here.
        """
        plain = int(self.scale) + int(self.center) + 2
        if self.built and len(weights) in (plain, plain + 3):
            weights = [*weights[:plain], self.step.numpy()]
        super().set_weights(weights)

    def get_config(self):
        return {**super().get_config(), "schedule": keras.saving.serialize_keras_object(self.schedule)}


def _schedule(schedule):
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
