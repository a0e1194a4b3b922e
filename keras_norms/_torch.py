"""Faster training forms for PyTorch; the only file that imports it, and only when its backend computes.

Its native kernels round at the mean's scale, so an input far from zero goes to them centred: neither the output nor the
gradient depends on a constant shift.
"""

import keras

# The kernels round to about 1e-6 of the mean; beyond this many standard deviations from zero they get a centred input.
_FAR_FROM_ZERO = 16.0


def takes(x):
    """Whether the native kernels may take x: PyTorch computes, eagerly, and there is something to count."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    return x.device.type != "meta" and not torch.compiler.is_compiling()


def _is_far(mean, variance, epsilon):
    return bool((mean.square() > _FAR_FROM_ZERO**2 * (variance + epsilon)).any())


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
    if _is_far(mean, variance, epsilon):
        pivot = mean.detach()
        rows = rows - pivot.reshape(1, channels, 1, 1)
        y, residue, variance = kernel(rows, gamma, beta)
        mean = pivot + residue
    if correct is not None:
        r, d = correct(mean, variance)
        y, _, _ = kernel(rows, gamma * r, beta + gamma * d)
    return y.reshape(x.shape), mean, variance


def layer_norm(x, gamma, beta, features, epsilon):
    """Layer normalization over the last axes of x, which hold `features` values; gamma and beta are flat."""
    import torch

    rows = x.reshape(-1, features)
    y, mean, inv = torch.native_layer_norm(rows, (features,), gamma, beta, epsilon)
    if rows.numel() and _is_far(mean, inv.square().reciprocal(), 0.0):
        rows = rows - mean.detach()
        y, _, _ = torch.native_layer_norm(rows, (features,), gamma, beta, epsilon)
    return y.reshape(x.shape)
