"""Ghost batches: a batch is cut into slices of n samples, and each slice has its own statistics."""

from keras import ops

from keras_norms._types import Tensor, Variable


def ghost_batches(x: Tensor, mask: Tensor | None, n: int) -> tuple[Tensor, Tensor | None]:
    """x as (slices, n, ...), and its mask. If the last slice has fewer than n samples, it is padded and masked."""
    batch = ops.shape(x)[0]
    fill = -batch % n
    if isinstance(fill, int) and fill == 0:
        return _cut(x, n), None if mask is None else _cut(mask, n)
    ones = (1,) * (len(x.shape) - 1)
    if mask is None:
        mask = ops.reshape(ops.arange(batch + fill) < batch, (-1, *ones))
    else:
        mask = _pad(ops.cast(mask, "int32"), fill) > 0
    return _cut(_pad(x, fill), n), _cut(mask, n)


def merge_ghosts(y: Tensor, like: Tensor) -> Tensor:
    """The inverse of ghost_batches: y in the shape of `like`, without the padding."""
    shape = ops.shape(like)
    return ops.reshape(y, (-1, *shape[1:]))[: shape[0]]


def mean_of_ghosts(value: Tensor, count: Tensor, weight: Variable) -> Tensor:
    """The mean of the slices' statistics, weighted by how many positions count; where none does, the weight itself."""
    share = count * ops.ones_like(value)
    total = ops.sum(share, axis=0)
    current = ops.reshape(ops.cast(weight, value.dtype), value.shape[1:])
    return ops.where(total > 0, ops.sum(value * share, axis=0) / ops.maximum(total, 1.0), current)


def _cut(x: Tensor, n: int) -> Tensor:
    return ops.reshape(x, (-1, n, *ops.shape(x)[1:]))


def _pad(x: Tensor, fill: int) -> Tensor:
    return ops.pad(x, [(0, fill)] + [(0, 0)] * (len(x.shape) - 1))
