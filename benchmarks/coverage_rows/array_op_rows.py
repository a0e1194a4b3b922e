"""Operations that move elements: shapes, joins, indices, windows; and those with a loop or a branch inside."""

from .coverage_row import Given, rows

_ONE = """
ops.append(x, x, axis=1)
ops.append(x, x)
ops.array(x)
ops.array_split(x, 3, axis=1)
ops.broadcast_to(x, (3, 4, 10, 8))
ops.concatenate([x, y], axis=1)
ops.concatenate([x, y], axis=-1)
ops.depth_to_space(ops.reshape(x, (-1, 5, 4, 4)), 2)
ops.diagonal(x, axis1=1, axis2=2)
ops.diagonal(x, offset=1, axis1=1, axis2=2)
ops.dsplit(x, 2)
ops.dstack([x, y])
ops.expand_dims(x, 1)
ops.expand_dims(x, (1, -1))
ops.extract_sequences(x, 4, 2)
ops.flip(x, axis=1)
ops.flip(x, axis=(1, 2))
ops.fliplr(x)
ops.flipud(x)
ops.get_item(x, (slice(None), slice(1, 9, 2)))
x[:, 2]
x[:, ::-1]
x[:, 1:9:2, -3:]
x[..., None]
ops.hsplit(x, 2)
ops.hstack([x, y])
ops.meshgrid(x[0, 0], y[0, 0])
ops.moveaxis(x, 1, 2)
ops.pad(x, ((0, 0), (1, 2), (0, 1)))
ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=2.0)
ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode='reflect')
ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode='symmetric')
ops.ravel(x)
ops.repeat(x, 3, axis=1)
ops.repeat(x, 3)
ops.repeat(x, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2], axis=1)
ops.reshape(x, (-1, 80))
ops.reshape(x, (-1, 5, 16))
ops.roll(x, 2, axis=1)
ops.roll(x, 2)
ops.roll(x, (1, -2), axis=(1, 2))
ops.rot90(x, axes=(1, 2))
ops.rot90(x, k=2, axes=(1, 2))
ops.slice(x, (0, 2, 1), (1, 4, 5))
ops.slice_update(x, (0, 2, 1), np.ones((1, 4, 5), 'float32'))
ops.space_to_depth(ops.reshape(x, (-1, 10, 4, 2)), 2)
ops.split(x, 2, axis=1)
ops.split(x, [3, 5], axis=1)
ops.squeeze(ops.expand_dims(x, 1), 1)
ops.stack([x, y])
ops.stack([x, y], axis=1)
ops.swapaxes(x, 1, 2)
ops.take(x, [0, 2, 2], axis=1)
ops.take(x, [-1, 3], axis=-1)
ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)
ops.tile(x, (1, 2, 3))
ops.transpose(x, (0, 2, 1))
ops.transpose(x)
ops.tril(x)
ops.tril(x, k=-1)
ops.triu(x)
ops.triu(x, k=2)
ops.unstack(x, axis=1)
ops.vander(x[0, 0])
ops.vander(x[0, 0], 3, increasing=True)
ops.vsplit(ops.reshape(x, (2, -1)), 2)
ops.vstack([x, y])
ops.where(ops.greater(x, 0))
ops.diag(x[0, 0])
ops.diag(x[0, 0], k=1)
ops.diag(x[0])
ops.diagflat(x[0, 0])
ops.linspace(x, y, 5)
ops.linspace(x, y, 5, endpoint=False, axis=-1)
ops.logspace(x, y, 5)
ops.trace(x, axis1=1, axis2=2)
ops.trace(x, offset=1, axis1=1, axis2=2)
"""

_REARRANGED = """
ops.rearrange(x, 'b t (h d) -> b h t d', h=2)
ops.rearrange(x, 'b t c -> (b t) c')
"""

_LOOPS = """
ops.map(lambda t: t * 2 + 1, x)
ops.vectorized_map(lambda t: t * 2 + 1, x)
layers.Lambda(lambda t: ops.cond(ops.any(ops.greater(t, 2.5)), lambda: t * 2, lambda: t + 1))(x)
ops.switch(ops.argmax(x[0, 0]), [lambda t: t * (i + 1) for i in (1, 2, 3)], x)
ops.scan(lambda c, t: (c + t, c * t), ops.zeros_like(x[:, 0]), ops.swapaxes(x, 0, 1))
ops.scan(lambda c, t: (c + t, c * t), ops.zeros_like(x[:, 0]), ops.swapaxes(x, 0, 1), reverse=True)
ops.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t * 2), (np.int32(0), x))[1]
ops.fori_loop(0, 3, lambda i, t: t * 2, x)
"""

_INTEGERS = """
ops.one_hot(i, 8)
ops.one_hot(i, 8, axis=1)
ops.multi_hot(i, 8)
ops.take(np.arange(24.0, dtype='float32').reshape(8, 3), i, axis=0)
ops.take_along_axis(x, i, axis=1)
ops.unravel_index(i, (2, 4))
ops.scatter(ops.expand_dims(s, -1), d, (8, 8))
ops.scatter_update(z, ops.expand_dims(s, -1), d)
ops.scatter_update(z, ops.expand_dims(s, -1), d, reduction='add')
ops.repeat(i, 2, axis=1)
"""

_FREE = """
ops.flip(x, axis=1)
ops.roll(x, 2, axis=1)
ops.concatenate([x, x], axis=1)
ops.transpose(x, (0, 2, 1))
ops.reshape(x, (-1, 8))
ops.repeat(x, 2, axis=1)
ops.tile(x, (1, 2, 1))
ops.pad(x, ((0, 0), (1, 2), (0, 0)))
ops.pad(x, ((0, 0), (1, 2), (0, 0)), mode='reflect')
ops.tril(x)
ops.take(x, [0, 2], axis=1)
x[:, -1]
x[:, ::2]
"""

_TENSOR = Given((10, 8))

ROWS = (
    *rows("arrays", _ONE, x=_TENSOR, y=_TENSOR),
    *rows("arrays", _FREE, x=Given((None, 8))),
    *rows("arrays", _REARRANGED, x=Given((10, 8), batch=2)),
    *rows("arrays", "ops.geomspace(x, y, 5)", x=Given((8,), 0.5, 2), y=Given((8,), 2, 4)),
    *rows("loops", _LOOPS, x=_TENSOR),
    *rows(
        "arrays",
        _INTEGERS,
        i=Given((6,), 0, 7, "int32"),
        x=Given((8,)),
        s=Given((), 0, 7, "int32", batch=6),
        d=Given((8,), batch=6),
        z=Given((8,), batch=8),
    ),
)
