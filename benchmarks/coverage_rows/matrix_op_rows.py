"""Products, linear algebra, Fourier transforms, and what neural networks are made of, as functions."""

from .coverage_row import Given, rows

_PRODUCTS = """
ops.cross(x[..., :3], y[..., :3])
ops.dot(x, np.ones((8, 3), 'float32'))
ops.dot(x[0], ops.transpose(y[0]))
ops.einsum('bij,bkj->bik', x, y)
ops.einsum('bij,jk->bik', x, np.linspace(-1, 1, 24, dtype='float32').reshape(8, 3))
ops.einsum('bij->bji', x)
ops.einsum('bij,bij->b', x, y)
ops.einsum('bii->bi', x[:, :8])
ops.inner(x[0], y[0])
ops.kron(x[0], y[0, :2, :2])
ops.matmul(x, ops.swapaxes(y, 1, 2))
ops.matmul(x, np.linspace(-1, 1, 24, dtype='float32').reshape(8, 3))
ops.outer(x[0, 0], y[0, 0])
ops.tensordot(x, np.linspace(-1, 1, 24, dtype='float32').reshape(8, 3), axes=1)
ops.tensordot(x, y, axes=[[1, 2], [1, 2]])
ops.vdot(x[0, 0], y[0, 0])
ops.correlate(x[0, 0], y[0, 0, :3])
ops.correlate(x[0, 0], y[0, 0, :3], mode='same')
ops.correlate(x[0, 0], y[0, 0, :3], mode='full')
ops.cdist(x, y)
"""

_REGULAR = "ops.matmul(x, ops.swapaxes(x, 1, 2)) + 4 * np.eye(4, dtype='float32')"

_MATRICES = """
ops.cholesky(SPD)
ops.cholesky(SPD, upper=True)
ops.cholesky_inverse(ops.cholesky(SPD))
ops.det(SPD)
ops.slogdet(SPD)
ops.logdet(SPD)
ops.inv(SPD)
ops.eigh(SPD)
ops.eig(SPD)
ops.lu_factor(SPD)
ops.svd(SPD, compute_uv=False)
ops.svd(SPD)
ops.qr(SPD)
ops.qr(SPD, mode='complete')
ops.pinv(SPD)
ops.matrix_rank(SPD)
ops.solve(SPD, y)
ops.solve_triangular(SPD, y)
ops.solve_triangular(SPD, y, lower=True)
ops.lstsq((SPD)[0], y[0])
"""

_SIGNALS = """
ops.fft((x, y))
ops.fft2((ops.reshape(x, (-1, 8, 8)), ops.reshape(y, (-1, 8, 8))))
ops.ifft2((ops.reshape(x, (-1, 8, 8)), ops.reshape(y, (-1, 8, 8))))
ops.rfft(x)
ops.rfft(x, fft_length=128)
ops.irfft(ops.rfft(x))
ops.stft(x, 16, 8, 16)
ops.stft(x, 12, 6, 16, window='hamming', center=False)
ops.istft(ops.stft(x, 16, 8, 16), 16, 8, 16)
"""

_KERNEL = "np.linspace(-1, 1, {n}, dtype='float32').reshape({shape})"


def _kernel(*shape):
    n = 1
    for size in shape:
        n *= size
    return _KERNEL.format(n=n, shape=shape)


_NETWORKS = f"""
ops.conv(x, {_kernel(3, 3, 8, 4)})
ops.conv(x, {_kernel(3, 3, 8, 4)}, strides=2, padding='same')
ops.conv(x, {_kernel(3, 3, 8, 4)}, dilation_rate=2)
ops.conv(x, {_kernel(3, 3, 8, 4)}, data_format='channels_first')
ops.depthwise_conv(x, {_kernel(3, 3, 8, 1)})
ops.depthwise_conv(x, {_kernel(3, 3, 8, 2)}, strides=2, padding='same')
ops.separable_conv(x, {_kernel(3, 3, 8, 1)}, {_kernel(1, 1, 8, 4)})
ops.average_pool(x, 2)
ops.average_pool(x, 3, strides=1, padding='same')
ops.max_pool(x, 2)
ops.max_pool(x, 3, strides=2, padding='same')
ops.adaptive_average_pool(x, (3, 3))
ops.adaptive_average_pool(x, (2, 4))
ops.adaptive_max_pool(x, (3, 3))
ops.unfold(x, 3)
ops.unfold(x, 2, dilation=2, padding=1, stride=2)
ops.fold(ops.reshape(x, (-1, 32, 16)), (8, 8), 2, stride=2)
ops.fold(ops.reshape(x, (-1, 32, 16)), (5, 5), 2)
"""

_ATTENTION = """
ops.dot_product_attention(q, k, k)
ops.dot_product_attention(q, k, k, scale=0.5)
ops.dot_product_attention(q, k, k, is_causal=True)
ops.dot_product_attention(q, k, k, mask=np.tri(6, dtype=bool)[None, None])
ops.dot_product_attention(q, k, k, bias=np.linspace(-1, 1, 36, dtype='float32').reshape(1, 1, 6, 6))
ops.dot_product_attention(q, q[:, :, :2], q[:, :, :2])
"""

_LOSSES = """
ops.binary_crossentropy(p, q)
ops.binary_crossentropy(p, q, from_logits=True)
ops.categorical_crossentropy(p, q)
ops.categorical_crossentropy(p, q, from_logits=True)
ops.sparse_categorical_crossentropy(i, q)
ops.sparse_categorical_crossentropy(i, q, from_logits=True)
"""

_CTC = """
ops.ctc_loss(t, o, ops.sum(ops.ones_like(t), axis=1), ops.sum(ops.ones_like(t), axis=1) + 4)
ops.ctc_decode(o, ops.sum(ops.ones_like(t), axis=1) + 4)
ops.ctc_decode(o, ops.sum(ops.ones_like(t), axis=1) + 4, strategy='beam_search', beam_width=4)
"""

_TENSOR, _HEADS, _CLASSES = Given((10, 8)), Given((6, 4, 8)), Given((5,), 0.05, 0.95)

ROWS = (
    *rows("matrices", _PRODUCTS, x=_TENSOR, y=_TENSOR),
    *rows("matrices", _MATRICES.replace("SPD", _REGULAR), x=Given((4, 4)), y=Given((4, 2))),
    *rows("signals", _SIGNALS, x=Given((64,)), y=Given((64,))),
    *rows("networks", _NETWORKS, x=Given((8, 8, 8))),
    *rows("networks", _ATTENTION, q=_HEADS, k=_HEADS),
    *rows("networks", _LOSSES, p=_CLASSES, q=_CLASSES, i=Given((), 0, 4, "int32")),
    *rows("networks", _CTC, t=Given((4,), 1, 4, "int32"), o=Given((8, 5))),
)
