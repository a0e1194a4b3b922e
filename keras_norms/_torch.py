"""Faster training forms for PyTorch; the only file that imports it, and only when its backend computes.

Its native kernels round at the mean's scale, so an input far from zero goes to them centred: neither the output nor the
gradient depends on a constant shift.
"""

import keras

# The kernels round to about 1e-6 of the mean; beyond this many standard deviations from zero they get a centred input.
_FAR_FROM_ZERO = 16.0
# That of group normalization takes the variance as E[x^2] - E[x]^2: at a mean of 10 it is wrong by 4e-4.
_FAR_FROM_ZERO_FOR_GROUPS = 1.0


def takes(x):
    """Whether the native kernels may take x: PyTorch computes, eagerly, and there is something to count."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    return x.device.type != "meta" and not torch.compiler.is_compiling()


def _is_far(mean, inv, limit=_FAR_FROM_ZERO):
    """Whether a mean is more than `limit` standard deviations from zero. NaN is not, and stays what it is."""
    import torch

    return mean.numel() > 0 and torch.linalg.vector_norm(mean * inv, torch.inf).item() > limit


def batch_norm(x, gamma, beta, epsilon, correct=None):
    """Training batch norm of x, channels last: y, and the mean and the biased variance over all axes but the last.

    correct(mean, variance) gives batch renormalization's (r, d), constants of the gradient.
    """
    import torch

    channels = x.shape[-1]
    count = x.numel() // channels
    gamma = torch.ones(channels, dtype=x.dtype, device=x.device) if gamma is None else gamma
    beta = torch.zeros(channels, dtype=x.dtype, device=x.device) if beta is None else beta
    # Measured: the fastest of the layouts the kernel takes.
    rows = x.reshape(-1, channels, 1, 1)

    def kernel(rows, scale, offset):
        mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
        # A momentum of 1 leaves the batch's own statistics, the variance divided by n - 1.
        y = torch.native_batch_norm(rows, scale, offset, mean, variance, True, 1.0, epsilon)[0]
        return y, mean, variance * ((count - 1) / count)

    gamma_first, beta_first = (gamma, beta) if correct is None else (gamma.detach(), beta.detach())
    with torch.set_grad_enabled(torch.is_grad_enabled() and correct is None):
        y, mean, variance = kernel(rows, gamma_first, beta_first)
    if _is_far(mean, torch.rsqrt(variance + epsilon)):
        pivot = mean.detach()
        rows = rows - pivot.reshape(1, channels, 1, 1)
        y, residue, variance = kernel(rows, gamma, beta)
        mean = pivot + residue
    if correct is not None:
        r, d = correct(mean, variance)
        y, _, _ = kernel(rows, gamma * r, beta + gamma * d)
    return y.reshape(x.shape), mean, variance


def group_norm(x, gamma, beta, channels_per_group, epsilon):
    """Group normalization of x, channels last, without a mask."""
    import torch

    channels = x.shape[-1]
    if len(x.shape) == 2:
        rows = layer_norm(x.reshape(-1, channels_per_group), None, None, channels_per_group, epsilon).reshape(x.shape)
        rows = rows if gamma is None else rows * gamma
        return rows if beta is None else rows + beta
    # Channels first in shape, channels last in memory: the kernel knows that layout and needs no copy.
    images = x.reshape(x.shape[0], -1, 1, channels).permute(0, 3, 1, 2)
    sizes = (x.shape[0], channels, images.shape[2], channels // channels_per_group)
    y, mean, inv = torch.native_group_norm(images, gamma, beta, *sizes, epsilon)
    if _is_far(mean, inv, _FAR_FROM_ZERO_FOR_GROUPS):
        pivot = mean.detach().repeat_interleave(channels_per_group, 1).reshape(x.shape[0], channels, 1, 1)
        y, _, _ = torch.native_group_norm(images - pivot, gamma, beta, *sizes, epsilon)
    return y.permute(0, 2, 3, 1).reshape(x.shape)


def layer_norm(x, gamma, beta, features, epsilon):
    """Layer normalization over the last axes of x, which hold `features` values; gamma and beta are flat."""
    import torch

    rows = x.reshape(-1, features)
    y, mean, inv = torch.native_layer_norm(rows, (features,), gamma, beta, epsilon)
    if _is_far(mean, inv):
        y, _, _ = torch.native_layer_norm(rows - mean.detach(), (features,), gamma, beta, epsilon)
    return y.reshape(x.shape)
