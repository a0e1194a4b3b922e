"""Ghost batches: a batch cut into slices of n samples, each with statistics of its own."""

from keras import ops

from keras_norms._types import Tensor


def ghost_batches(x: Tensor, mask: Tensor | None, n: int) -> tuple[Tensor, Tensor | None]:
    """x as (slices, n, ...) and a mask for it; a last slice of fewer than n samples is filled up and masked."""
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
    """Undoes ghost_batches."""
    shape = ops.shape(like)
    return ops.reshape(y, (-1, *shape[1:]))[: shape[0]]


def _cut(x: Tensor, n: int) -> Tensor:
    return ops.reshape(x, (-1, n, *ops.shape(x)[1:]))


def _pad(x: Tensor, fill: int) -> Tensor:
    return ops.pad(x, [(0, fill)] + [(0, 0)] * (len(x.shape) - 1))
