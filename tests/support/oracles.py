"""Float64 NumPy references of every layer, written from the papers and as plainly as possible.

Batch normalization: Ioffe and Szegedy 2015. Batch renormalization: Ioffe 2017, algorithm 1.
Group normalization: Wu and He 2018. Layer normalization: Ba et al. 2016.
Instance normalization: Ulyanov et al. 2016.
"""

import numpy as np


def _wide(x):
    return np.asarray(x, dtype=np.float64)


def _to_rows(x, axis):
    """x with its channel axis last, flattened to (positions, channels)."""
    moved = np.moveaxis(_wide(x), axis, -1)
    return moved.reshape(-1, moved.shape[-1]), moved.shape


def _from_rows(rows, moved_shape, axis):
    return np.moveaxis(rows.reshape(moved_shape), -1, axis)


def full_mask(mask, shape, axis):
    """One boolean for each element: the mask lies over the axes other than `axis`."""
    if mask is None:
        return np.ones(shape, dtype=bool)
    mask = np.asarray(mask, dtype=bool)
    mask = np.expand_dims(mask, axis) if mask.ndim > axis % len(shape) else mask
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def batch_moments(x, axis=-1, mask=None):
    """Mean and biased variance of each channel over the positions that count, and their number."""
    rows, _ = _to_rows(x, axis)
    keep, _ = _to_rows(full_mask(mask, np.shape(x), axis), axis)
    keep = keep[:, 0] > 0
    chosen = rows[keep]
    return chosen.mean(axis=0), chosen.var(axis=0), len(chosen)


def batch_norm_inference(x, gamma, beta, moving_mean, moving_variance, epsilon=1e-3, axis=-1):
    rows, shape = _to_rows(x, axis)
    y = (rows - _wide(moving_mean)) / np.sqrt(_wide(moving_variance) + epsilon) * _wide(gamma) + _wide(beta)
    return _from_rows(y, shape, axis)


class BatchNorm:
    """Training of batch normalization: call it for each batch; it holds the moving statistics."""

    def __init__(self, gamma, beta, moving_mean, moving_variance, momentum=0.99, epsilon=1e-3, axis=-1):
        self.gamma, self.beta = _wide(gamma), _wide(beta)
        self.moving_mean, self.moving_variance = _wide(moving_mean), _wide(moving_variance)
        self.momentum, self.epsilon, self.axis = momentum, epsilon, axis

    def __call__(self, x, mask=None):
        mean, variance, _ = batch_moments(x, self.axis, mask)
        y = batch_norm_inference(x, self.gamma, self.beta, mean, variance, self.epsilon, self.axis)
        self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * mean
        self.moving_variance = self.momentum * self.moving_variance + (1 - self.momentum) * variance
        return y


class BatchRenorm:
    """Training of batch renormalization: `schedule(step)` gives (r_max, d_max)."""

    def __init__(self, gamma, beta, moving_mean, moving_variance, schedule, momentum=0.99, epsilon=1e-3, axis=-1):
        self.gamma, self.beta = _wide(gamma), _wide(beta)
        self.moving_mean, self.moving_variance = _wide(moving_mean), _wide(moving_variance)
        self.momentum, self.epsilon, self.axis, self.schedule = momentum, epsilon, axis, schedule
        self.step = 0

    def corrections(self, mean, variance):
        r_max, d_max = self.schedule(self.step)
        sigma = np.sqrt(self.moving_variance + self.epsilon)
        r = np.clip(np.sqrt(variance + self.epsilon) / sigma, 1 / r_max, r_max)
        d = np.clip((mean - self.moving_mean) / sigma, -d_max, d_max)
        return r, d

    def __call__(self, x, mask=None):
        mean, variance, _ = batch_moments(x, self.axis, mask)
        r, d = self.corrections(mean, variance)
        rows, shape = _to_rows(x, self.axis)
        y = ((rows - mean) / np.sqrt(variance + self.epsilon) * r + d) * self.gamma + self.beta
        sigma = np.sqrt(self.moving_variance + self.epsilon)
        sigma = self.momentum * sigma + (1 - self.momentum) * np.sqrt(variance + self.epsilon)
        self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * mean
        self.moving_variance = sigma**2 - self.epsilon
        self.step += 1
        return _from_rows(y, shape, self.axis)


def batch_norm_gradient(x, gamma, upstream, epsilon=1e-3, axis=-1, r=1.0, d=0.0, mask=None):
    """Gradients (dx, dgamma, dbeta) of training batch (re)normalization, r and d held constant."""
    mean, variance, _ = batch_moments(x, axis, mask)
    rows, shape = _to_rows(x, axis)
    dy, _ = _to_rows(upstream, axis)
    keep = _to_rows(full_mask(mask, np.shape(x), axis), axis)[0]
    count = keep.sum(axis=0)
    sigma = np.sqrt(variance + epsilon)
    x_hat = (rows - mean) / sigma
    dx_hat = dy * _wide(gamma) * r
    # Every output, masked or not, depends on the moments; the moments depend on the unmasked inputs alone.
    through_moments = (dx_hat.sum(axis=0) + x_hat * (dx_hat * x_hat).sum(axis=0)) / count
    dx = (dx_hat - keep * through_moments) / sigma
    return _from_rows(dx, shape, axis), (dy * (x_hat * r + d)).sum(axis=0), dy.sum(axis=0)


def group_norm(x, groups, gamma, beta, epsilon=1e-3, axis=-1, mask=None):
    """Each sample and each group of channels by a loop; a group with nothing to count gives beta."""
    x = _wide(x)
    moved = np.moveaxis(x, axis, -1)
    keep = np.moveaxis(full_mask(mask, x.shape, axis), axis, -1)
    channels = moved.shape[-1]
    size = 1 if groups == -1 else channels // groups
    y = np.zeros_like(moved)
    for n in range(moved.shape[0]):
        for start in range(0, channels, size):
            part = (n, ..., slice(start, start + size))
            chosen = moved[part][keep[part]]
            if chosen.size:
                y[part] = (moved[part] - chosen.mean()) / np.sqrt(chosen.var() + epsilon)
    return np.moveaxis(y * _wide(gamma) + _wide(beta), -1, axis)


def instance_norm(x, gamma, beta, epsilon=1e-3, axis=-1, mask=None):
    return group_norm(x, -1, gamma, beta, epsilon, axis, mask)


def layer_norm(x, gamma, beta, epsilon=1e-3, axis=-1):
    """gamma and beta have the sizes of x along the sorted `axis`."""
    x = _wide(x)
    axes = sorted(a % x.ndim for a in np.atleast_1d(axis))
    shape = [size if a in axes else 1 for a, size in enumerate(x.shape)]
    mean = x.mean(axis=tuple(axes), keepdims=True)
    variance = x.var(axis=tuple(axes), keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * _wide(gamma).reshape(shape) + _wide(beta).reshape(shape)


def numeric_gradient(f, x, upstream, h=1e-5):
    """d sum(upstream * f(x)) / dx by central differences."""
    x = _wide(x)
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = ((f(x + step) - f(x - step)) * upstream).sum() / (2 * h)
    return gradient
