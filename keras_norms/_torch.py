"""PyTorch's native kernels, which are faster. `_torch_state` says when they may be used.

The error of these kernels grows with the mean, so an input far from zero is centred first. A constant shift of the
input changes neither the output nor the gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keras_norms._torch_state import is_transformed
from keras_norms._types import Correct, Tensor

# If a mean is further than this many standard deviations from zero, the kernel gets a centred input. The error of layer
# normalization's kernel is about 1e-7 of the mean.
_FAR_FROM_ZERO = 16.0
# Batch normalization's kernel adds up in float32, one by one: at 100,000 positions the mean has a relative error of
# 1e-5, and at a mean of 15 the gradient of gamma is wrong by 1e-2.
_FAR_FROM_ZERO_FOR_BATCHES = 2.0
# Group normalization's kernel computes the variance as E[x^2] - E[x]^2: at a mean of 10 it is wrong by 4e-4.
_FAR_FROM_ZERO_FOR_GROUPS = 1.0


def takes_samples_apart(x: Tensor) -> bool:
    """Whether instance_norm is fastest for x. Each sample is one call, which costs as much as 4,000 elements."""
    return bool(x.device.type == "cpu" and len(x.shape) > 2 and x.numel() >= 8192 * max(1, x.shape[0]))


def _is_far(mean: Tensor, inv: Tensor, limit: float = _FAR_FROM_ZERO) -> bool:
    """Whether a mean is more than `limit` standard deviations from zero. Not so for NaN, which stays NaN."""
    if not mean.numel():
        return False
    # Measured: a norm of order infinity takes six times as long.
    lowest, highest = (mean * inv).aminmax()
    return bool(highest.item() > limit or -lowest.item() > limit)


def batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float, correct: Correct | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Training batch norm of x, channels last: y, and the mean and the biased variance over all axes but the last.

    correct(mean, variance) gives batch renormalization's (r, d), constants of the gradient.
    """
    import torch

    channels = x.shape[-1]
    count = x.numel() // channels
    gamma = torch.ones(channels, dtype=x.dtype, device=x.device) if gamma is None else gamma
    beta = torch.zeros(channels, dtype=x.dtype, device=x.device) if beta is None else beta
    # Measured: the fastest of the layouts that the kernel accepts.
    rows = x.reshape(-1, channels, 1, 1)

    def kernel(rows: Tensor, scale: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
        # With a momentum of 1 the kernel leaves the statistics of this batch; it divides the variance by n - 1.
        y = torch.native_batch_norm(rows, scale, offset, mean, variance, True, 1.0, epsilon)[0]
        return y, mean, variance * ((count - 1) / count)

    gamma_first, beta_first = (gamma, beta) if correct is None else (gamma.detach(), beta.detach())
    with torch.set_grad_enabled(torch.is_grad_enabled() and correct is None):
        y, mean, variance = kernel(rows, gamma_first, beta_first)
    if _is_far(mean, torch.rsqrt(variance + epsilon), _FAR_FROM_ZERO_FOR_BATCHES):
        pivot = mean.detach()
        rows = rows - pivot.reshape(1, channels, 1, 1)
        y, residue, variance = kernel(rows, gamma, beta)
        mean = pivot + residue
    if correct is not None:
        r, d = correct(mean, variance)
        y, _, _ = kernel(rows, gamma * r, beta + gamma * d)
    return y.reshape(x.shape), mean, variance


def group_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, channels_per_group: int, epsilon: float) -> Tensor:
    """Group normalization of x, channels last, without a mask."""
    import torch

    channels = x.shape[-1]
    if len(x.shape) == 2:
        rows = layer_norm(x.reshape(-1, channels_per_group), None, None, 1, epsilon).reshape(x.shape)
        rows = rows if gamma is None else rows * gamma
        return rows if beta is None else rows + beta
    # The shape is channels-first, the memory channels-last: the kernel accepts that and needs no copy.
    images = x.reshape(x.shape[0], -1, 1, channels).permute(0, 3, 1, 2)
    sizes = (x.shape[0], channels, images.shape[2], channels // channels_per_group)
    normalize = _group_by_group() if torch.is_grad_enabled() else _group_norm_kernel
    y, mean, inv = normalize(images, gamma, beta, sizes, epsilon)
    if _is_far(mean, inv, _FAR_FROM_ZERO_FOR_GROUPS):
        pivot = mean.detach().repeat_interleave(channels_per_group, 1).reshape(x.shape[0], channels, 1, 1)
        y, _, _ = normalize(images - pivot, gamma, beta, sizes, epsilon)
    return y.permute(0, 2, 3, 1).reshape(x.shape)


def _group_norm_kernel(
    images: Tensor, gamma: Tensor | None, beta: Tensor | None, sizes: tuple[int, ...], epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    import torch

    y, mean, inv = torch.native_group_norm(images, gamma, beta, *sizes, epsilon)
    return y, mean, inv


@functools.cache
def _group_by_group() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """_group_norm_kernel with a gradient that can be batched: that of the kernel cannot."""
    import torch

    backward_kernel = torch.ops.aten.native_group_norm_backward

    class GroupByGroup(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, images: Tensor, gamma: Tensor, beta: Tensor, sizes: tuple[int, ...], epsilon: float
        ) -> tuple[Tensor, Tensor, Tensor]:
            y, mean, inv = _group_norm_kernel(images, gamma, beta, sizes, epsilon)
            ctx.sizes, ctx.epsilon = sizes, epsilon
            ctx.save_for_backward(images, gamma, mean, inv)
            ctx.mark_non_differentiable(mean, inv)
            return y, mean, inv

        @staticmethod
        def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
            images, gamma, mean, inv = ctx.saved_tensors
            if is_transformed(dy):
                found = _gradient_by_groups(images, gamma, dy, ctx.sizes, ctx.epsilon)
                return *(v if n else None for v, n in zip(found, ctx.needs_input_grad, strict=False)), None, None
            dy = dy.contiguous(memory_format=torch.channels_last)
            wanted = list(ctx.needs_input_grad[:3])
            return *backward_kernel(dy, images, mean, inv, gamma, *ctx.sizes, wanted), None, None

    apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = GroupByGroup.apply
    return apply


def _gradient_by_groups(
    images: Tensor, gamma: Tensor | None, dy: Tensor, sizes: tuple[int, ...], epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the images, gamma and beta, in single operations that can be differentiated and batched."""
    samples, channels, _, groups = sizes

    def by_group(v: Tensor) -> Tensor:
        return v.reshape(samples, groups, -1)

    x_hat, inv = _normalized(by_group(images), 2, epsilon)
    g = by_group(dy if gamma is None else dy * gamma.reshape(-1, 1, 1))
    dx = (g - g.mean(2, keepdim=True) - x_hat * (g * x_hat).mean(2, keepdim=True)) * inv
    dgamma = (by_group(dy) * x_hat).reshape(samples, channels, -1).sum((0, 2))
    return dx.reshape(images.shape), dgamma, dy.sum((0, 2, 3))


def _normalized(x: Tensor, axis: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """x, centred and scaled along an axis, and the scale."""
    import torch

    centred = x - x.mean(axis, keepdim=True)
    inv = torch.rsqrt(centred.square().mean(axis, keepdim=True) + epsilon)
    return centred * inv, inv


def instance_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, _: int, epsilon: float) -> Tensor:
    """Instance normalization of x, channels last, without a mask: batch normalization of each sample by itself.

    Measured: the kernel of batch normalization needs no copy of channels-last memory, and one sample fits the cache;
    the kernel of group normalization is slow if a group is one channel.
    """
    import torch

    channels = x.shape[-1]
    gamma = torch.ones(channels, dtype=x.dtype, device=x.device) if gamma is None else gamma
    beta = torch.zeros(channels, dtype=x.dtype, device=x.device) if beta is None else beta
    normalize = _sample_by_sample()
    rows = x.reshape(x.shape[0], -1, channels, 1, 1).contiguous()
    y, mean, inv = normalize(rows, gamma, beta, epsilon)
    if _is_far(mean, inv, _FAR_FROM_ZERO_FOR_BATCHES):
        y, _, _ = normalize(rows - mean.reshape(-1, 1, channels, 1, 1), gamma, beta, epsilon)
    return y.reshape(x.shape)


@functools.cache
def _sample_by_sample() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """The function of (samples, gamma, beta, epsilon) that gives (y, mean, inv); samples are (N, positions, C, 1, 1).

    Forward and backward write each sample's part into one output: to stack the parts would take half of the time.
    """
    import torch

    kernel, backward_kernel = torch.ops.aten.native_batch_norm, torch.ops.aten.native_batch_norm_backward

    class SampleBySample(torch.autograd.Function):
        @staticmethod
        def forward(samples: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
            y = torch.empty_like(samples)
            mean, inv = (gamma.new_empty(len(samples), len(gamma)) for _ in range(2))
            for x, *parts in zip(samples, y, mean, inv, strict=True):
                out = dict(zip(("out", "save_mean", "save_invstd"), parts, strict=True))
                kernel.out(x, gamma, beta, None, None, True, 0.0, epsilon, **out)
            return y, mean, inv

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
            *tensors, ctx.epsilon = inputs
            ctx.save_for_backward(*tensors[:2], *output[1:])
            ctx.mark_non_differentiable(*output[1:])

        @staticmethod
        def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
            samples, gamma, mean, inv = ctx.saved_tensors
            if is_transformed(dy):
                return *_gradient_by_samples(samples, gamma, dy, ctx.epsilon), None
            dx, dgamma, dbeta = outputs = torch.empty_like(samples), torch.empty_like(mean), torch.empty_like(mean)
            for g, x, *statistics, d0, d1, d2 in zip(dy.contiguous(), samples, mean, inv, *outputs, strict=True):
                out = {"out0": d0, "out1": d1, "out2": d2}
                backward_kernel.out(g, x, gamma, None, None, *statistics, True, ctx.epsilon, [True] * 3, **out)
            return dx, dgamma.sum(0), dbeta.sum(0), None

    apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = SampleBySample.apply
    return apply


def _gradient_by_samples(samples: Tensor, gamma: Tensor, dy: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the samples, gamma and beta, in single operations that can be differentiated and batched."""
    x_hat, inv = _normalized(samples, 1, epsilon)
    g = dy * gamma.reshape(-1, 1, 1)
    dx = (g - g.mean(1, keepdim=True) - x_hat * (g * x_hat).mean(1, keepdim=True)) * inv
    return dx, (dy * x_hat).sum((0, 1, 3, 4)), dy.sum((0, 1, 3, 4))


def layer_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, axes: int, epsilon: float) -> Tensor:
    """Layer normalization over the last `axes` axes of x; gamma and beta have its sizes there."""
    import torch

    shape = x.shape[-axes:]
    if gamma is None and beta is not None:  # PyTorch's second derivative of the kernel fails without a weight.
        gamma = torch.ones_like(beta)
    y, mean, inv = torch.native_layer_norm(x, shape, gamma, beta, epsilon)
    if _is_far(mean, inv):
        y, _, _ = torch.native_layer_norm(x - mean.detach(), shape, gamma, beta, epsilon)
    return y
