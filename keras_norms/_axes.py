"""Axes: canonical form, broadcast shapes and masks; the only place where an axis is refused."""

from collections.abc import Collection, Sequence

from keras import ops

from keras_norms._types import Shape, Tensor


def channel_axis(axis: int, shape: Shape, layer: str) -> int:
    """The channel axis of `shape` as a non-negative integer; the size along it has to be known."""
    rank = len(shape)
    if rank < 2:
        raise ValueError(
            f"{layer} needs an input with a batch axis and a channel axis. Received: input shape {tuple(shape)}. "
            "Give the input at least two axes."
        )
    if not -rank <= axis < rank:
        raise ValueError(
            f"`axis` has to be one of the axes of the input. Received: axis={axis} with input shape {tuple(shape)}. "
            f"Use an axis from {1 - rank} to {rank - 1}."
        )
    canonical = axis % rank
    if canonical == 0:
        raise ValueError(
            f"`axis` must not be the batch axis. Received: axis={axis} with input shape {tuple(shape)}. "
            "Use the channel axis: -1 for channels-last data, 1 for channels-first data."
        )
    if shape[canonical] is None:
        raise ValueError(
            f"The size of the input along `axis` has to be known. Received: axis={axis} with input shape "
            f"{tuple(shape)}. Give that dimension a size in the model's input."
        )
    return canonical


def known_size(shape: Shape, axis: int) -> int:
    """The size of `shape` along an axis that channel_axis has checked."""
    size = shape[axis]
    assert size is not None
    return size


def feature_axes(axis: int | Sequence[int], shape: Shape, layer: str) -> list[int]:
    """Sorted non-negative axes of `shape` named by `axis`, an integer or a sequence of them."""
    axes = [axis] if isinstance(axis, int) else list(axis)
    canonical = sorted(channel_axis(a, shape, layer) for a in axes)
    if len(set(canonical)) != len(canonical):
        raise ValueError(
            f"`axis` must name each axis once. Received: axis={axis} with input shape {tuple(shape)}. "
            "Remove the repeated axis."
        )
    return canonical


def broadcast_shape(axes: Collection[int], shape: Shape) -> tuple[int | None, ...]:
    """The shape of a weight over `axes` that broadcasts against an input of `shape`."""
    return tuple(size if axis in axes else 1 for axis, size in enumerate(shape))


def _compatible(mask_shape: Shape, shape: Shape) -> bool:
    return all(m is None or s is None or m == s for m, s in zip(mask_shape, shape, strict=False))


def expand_mask(mask: Tensor, x: Tensor, axis: int) -> Tensor:
    """A boolean mask that broadcasts against `x`.

    A mask with fewer axes than `x` lies over the axes of `x` other than the channel axis, in order, starting at the
    batch; where its sizes cannot be those, it lies over the leading axes, which is where `Masking` puts it. A mask with
    as many axes as `x` has size 1 along the channel axis.
    """
    rank = len(x.shape)
    mask_shape = tuple(mask.shape)
    if len(mask_shape) == rank:
        if mask_shape[axis] in (1, None) and all(
            m in (1, None) or s is None or m == s for m, s in zip(mask_shape, x.shape, strict=True)
        ):
            return ops.cast(mask, "bool")
    elif 0 < len(mask_shape) < rank:
        others = [size for a, size in enumerate(x.shape) if a != axis]
        if _compatible(mask_shape, others):
            if len(mask_shape) > axis:
                mask = ops.expand_dims(mask, axis)
        elif not _compatible(mask_shape, x.shape):
            raise _mask_error(mask_shape, x.shape, axis)
        for _ in range(rank - len(mask.shape)):
            mask = ops.expand_dims(mask, -1)
        return ops.cast(mask, "bool")
    raise _mask_error(mask_shape, x.shape, axis)


def _mask_error(mask_shape: Shape, shape: Shape, axis: int) -> ValueError:
    return ValueError(
        "`mask` has to have the sizes of the input without its channel axis. "
        f"Received: mask shape {tuple(mask_shape)}, input shape {tuple(shape)}, channel axis {axis}. "
        "Give one entry for each position, for example (batch, time) for an input of shape (batch, time, channels)."
    )
