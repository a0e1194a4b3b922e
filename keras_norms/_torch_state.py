"""What PyTorch is doing at the moment: transforms of functions, compilers, checkpoints that compute again.

Only this file and `_torch` import PyTorch, and only if it is the backend.
"""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Callable, Iterator

import keras

from keras_norms._types import Tensor


def is_backend() -> bool:
    return bool(keras.backend.backend() == "torch")


def takes(x: Tensor) -> bool:
    """Whether the native kernels can be used for x: PyTorch is the backend, x has values, and no compiler traces it.

    Nor may it be an argument of a transform of torch.func or a dual number: these kernels lack rules for both, and a
    statistic that decides whether x has to be centred has no single value there. Other people's exporters, which trace
    with torch.jit, know single operations better than these kernels.
    """
    if not is_backend() or x.device.type == "meta":
        return False
    import torch

    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or _transforms())


def can_be_read(x: Tensor) -> bool:
    """Whether Python can have the value of x without waiting for a device."""
    return takes(x) and bool(x.device.type == "cpu")


def _transforms() -> bool:
    """Whether a transform of torch.func, or forward mode, is active."""
    from torch.autograd import forward_ad

    return bool(_functorch_is_active()() or getattr(forward_ad, "_current_level", -1) >= 0)


@functools.cache
def _functorch_is_active() -> Callable[[], bool]:
    try:
        from torch._C import _are_functorch_transforms_active
    except ImportError:
        return lambda: False
    active: Callable[[], bool] = _are_functorch_transforms_active
    return active


def is_transformed(dy: Tensor) -> bool:
    """Whether a gradient will itself be differentiated, or stands for several at once."""
    import torch

    return torch.is_grad_enabled() or _transforms() or _is_batched()(dy)


@functools.cache
def _is_batched() -> Callable[[Tensor], bool]:
    try:  # torch.autograd.grad(is_grads_batched=True) has other batches than torch.func.vmap
        from torch._C._functorch import is_legacy_batchedtensor
    except ImportError:
        return lambda _: False
    batched: Callable[[Tensor], bool] = is_legacy_batchedtensor
    return batched


def computes_again() -> bool:
    """Whether a checkpoint computes what it did not keep: a forward pass within a backward pass."""
    if not is_backend():
        return False
    import torch

    return not torch.compiler.is_compiling() and _running_backward()() != -1


@functools.cache
def _running_backward() -> Callable[[], int]:
    try:
        from torch._C import _current_graph_task_id
    except ImportError:
        return lambda: -1
    running: Callable[[], int] = _current_graph_task_id
    return running


class Remembered:
    """What a layer computed of each of its last batches, which a checkpoint has to find again: by then, the layer's
    weights have moved. A batch is known by its mean."""

    def __init__(self) -> None:
        self._found: collections.deque[tuple[Tensor, tuple[Tensor, ...]]] = collections.deque(maxlen=16)

    def of(self, mean: Tensor, compute: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        if not takes(mean):
            return compute()
        if computes_again():
            import torch

            for known, values in reversed(self._found):
                if known.shape == mean.shape and torch.equal(known, mean):
                    return values
            return compute()
        values = compute()
        self._found.append((mean.detach(), values))
        return values


@contextlib.contextmanager
def no_gradients() -> Iterator[None]:
    """Within the block PyTorch, if it is the backend, records no gradients."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield
