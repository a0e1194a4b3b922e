"""Float64 NumPy reference of first and second derivatives of every layer, with or without a mask.

Each element of the input belongs to one set, whose elements share a mean and a variance, and to one channel, which has
one gamma and one beta:

    y = (x - mean[set]) / sigma[set] * r[set] + d[set]) * gamma[channel] + beta[channel]

r and d are constants of every derivative: 1 and 0 except in batch renormalization. The program that is differentiated
has a layer before the norm: loss = sum(sin(norm(x @ kernel)) * u), as a penalty on the gradient at the norm's own
input hides some errors. Second derivatives are finite differences of the first.
"""

from dataclasses import dataclass

import numpy as np
import oracles
from layer_cases import BN, BRN, GN, IN


@dataclass(frozen=True)
class Program:
    """The parameters of the program: its input, the kernel before the norm, and what the norm has of gamma and beta."""

    x: np.ndarray
    kernel: np.ndarray
    gamma: np.ndarray | None
    beta: np.ndarray | None

    def arrays(self):
        return [v for v in (self.x, self.kernel, self.gamma, self.beta) if v is not None]

    def with_arrays(self, arrays):
        left = iter(arrays)
        values = (self.x, self.kernel, self.gamma, self.beta)
        return Program(*(None if v is None else next(left) for v in values))

    def moved(self, direction, step):
        return self.with_arrays([v + step * w for v, w in zip(self.arrays(), direction, strict=True)])


def program(case, seed=0):
    """Parameters like those of `layer_cases.randomize`, in float64; gamma and beta have the shape of the weights."""
    rng = np.random.default_rng(seed)
    features = case.shape[-1]
    axes = sorted(a % len(case.shape) for a in np.atleast_1d(case.arguments.get("axis", -1)))
    shape = [case.shape[a] for a in axes]
    return Program(
        rng.normal(0.3, 1.0, case.shape),
        np.eye(features) + rng.normal(0, 0.3, (features, features)),
        rng.uniform(0.5, 1.5, shape) if case.arguments.get("scale", True) else None,
        rng.uniform(-0.5, 0.5, shape) if case.arguments.get("center", True) else None,
    )


def directions(program, seed=3):
    """A random direction for the parameters, and the weights u of the loss."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=v.shape) for v in program.arrays()], rng.normal(size=program.x.shape)


class Reference:
    """Loss and gradient of the program that a case makes, in float64. `layer` has the moving statistics."""

    def __init__(self, case, layer, program, mask=None):
        shape = case.shape
        self.epsilon = layer.epsilon
        self.keep = oracles.full_mask(mask, shape, layer.axis).ravel() if mask is not None else np.ones(np.prod(shape))
        self.sets, self.channels = _members(layer, shape)
        counted = np.bincount(self.sets, self.keep)
        self.count = np.maximum(counted, 1)
        # Where nothing counts in a set of a sample, the output is beta.
        self.r, self.d = (counted > 0).astype("float64"), np.zeros(len(counted))
        if isinstance(layer, BRN):
            mean, sigma, _ = self._moments((program.x @ program.kernel).ravel())
            moving_sigma = np.sqrt(np.asarray(layer.moving_variance, "float64") + layer.epsilon)
            r_max, d_max = layer.schedule(int(layer.step))
            repeats = len(self.count) // len(moving_sigma)
            moving_mean = np.tile(np.asarray(layer.moving_mean, "float64"), repeats)
            moving_sigma = np.tile(moving_sigma, repeats)
            self.r = np.clip(sigma / moving_sigma, 1 / r_max, r_max)
            self.d = np.clip((mean - moving_mean) / moving_sigma, -d_max, d_max)

    def _moments(self, z):
        mean = np.bincount(self.sets, self.keep * z) / self.count
        centred = z - mean[self.sets]
        variance = np.bincount(self.sets, self.keep * centred**2) / self.count
        return mean, np.sqrt(variance + self.epsilon), centred

    def output(self, program):
        _, sigma, centred = self._moments((program.x @ program.kernel).ravel())
        x_hat = centred / sigma[self.sets] * self.r[self.sets] + self.d[self.sets]
        gamma, beta = self._affine(program)
        return (x_hat * gamma + beta).reshape(program.x.shape)

    def _affine(self, program):
        gamma = 1.0 if program.gamma is None else program.gamma.ravel()[self.channels]
        return gamma, 0.0 if program.beta is None else program.beta.ravel()[self.channels]

    def gradient(self, program, u):
        """The gradients of loss = sum(sin(y) * u), in the order of program.arrays()."""
        _, sigma, centred = self._moments((program.x @ program.kernel).ravel())
        normalized, sigma, r = centred / sigma[self.sets], sigma[self.sets], self.r[self.sets]
        x_hat = normalized * r + self.d[self.sets]
        gamma, beta = self._affine(program)
        dy = np.cos(x_hat * gamma + beta) * u.ravel()
        g = dy * gamma * r
        along = [np.bincount(self.sets, v)[self.sets] / self.count[self.sets] for v in (g, g * normalized)]
        dz = ((g - self.keep * (along[0] + normalized * along[1])) / sigma).reshape(program.x.shape)
        rows, dz_rows = (v.reshape(-1, v.shape[-1]) for v in (program.x, dz))
        found = [dz @ program.kernel.T, rows.T @ dz_rows]
        for weight, terms in ((program.gamma, dy * x_hat), (program.beta, dy)):
            if weight is not None:
                found.append(np.bincount(self.channels, terms).reshape(weight.shape))
        return found

    def tangent(self, program, direction, h=1e-4):
        """The derivative of the output along a direction."""
        return _slope(lambda step: [self.output(program.moved(direction, step))], h)[0]

    def hessian_times(self, program, u, direction, h=1e-4):
        """The Hessian of the loss times a direction."""
        length = max(np.abs(v).max() for v in direction)
        return _slope(lambda step: self.gradient(program.moved(direction, step), u), h / max(1.0, length))

    def penalty_gradient(self, program, u):
        """The gradient of the penalty sum((d loss / d x)^2)."""
        first, *others = self.gradient(program, u)
        return self.hessian_times(program, u, [2 * first, *(np.zeros_like(v) for v in others)])


def _slope(values, h):
    """The derivative at 0 of a function that gives arrays, by central differences of order 4."""
    near, far = (zip(values(step), values(-step), strict=True) for step in (h, 2 * h))
    return [(8 * (a - b) - (c - d)) / (12 * h) for (a, b), (c, d) in zip(near, far, strict=True)]


def _members(layer, shape):
    """For each element, flat: the number of its set, and the number of its channel."""
    index = np.indices(shape)
    if isinstance(layer, (BN, GN, IN)):
        channel = index[layer.axis % len(shape)]
        channels = shape[layer.axis]
        if isinstance(layer, BN):
            size = layer.virtual_batch_size or shape[0]
            sets = index[0] // size * channels + channel
        else:
            groups = channels if isinstance(layer, IN) or layer.groups == -1 else layer.groups
            sets = index[0] * groups + channel // (channels // groups)
        return sets.ravel(), channel.ravel()
    axes = sorted(a % len(shape) for a in np.atleast_1d(layer.axis))
    others = [a for a in range(len(shape)) if a not in axes]
    pick = [np.ravel_multi_index(index[list(a)], [shape[i] for i in a]).ravel() for a in (others, axes)]
    return pick[0], pick[1]
