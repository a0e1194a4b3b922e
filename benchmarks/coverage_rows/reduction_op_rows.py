"""Operations that reduce, accumulate, sort and search."""

from .coverage_row import Given, rows

_REDUCTIONS = ["all", "any", "amax", "amin", "max", "mean", "min", "prod", "std", "sum", "var", "ptp", "median"]
_NAN = ["nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar"]


def _reductions():
    for name in _REDUCTIONS:
        taken = {"all": "ops.greater(x, {0})", "any": "ops.greater(x, {1})"}.get(name, "x")
        yield f"ops.{name}({taken.format(-3, 3)})"
        yield f"ops.{name}({taken.format(-1, 1)}, axis=1)"
        yield f"ops.{name}({taken.format(-2.4, 2.4)}, axis=(1, 2), keepdims=True)"
    for name in _NAN:
        yield from (f"ops.{name}(x{a})" for a in (", axis=-1", ", axis=1, keepdims=True"))


_MORE = """
ops.max(x, axis=1, initial=0.5)
ops.min(x, axis=1, initial=0.5)
ops.argmax(x)
ops.argmax(x, axis=1)
ops.argmax(x, axis=-1, keepdims=True)
ops.argmin(x, axis=1)
ops.argmin(x, axis=-1, keepdims=True)
ops.nanargmax(x, axis=1)
ops.nanargmin(x, axis=1)
ops.average(x, axis=1)
ops.average(x, axis=1, weights=np.arange(1.0, 11.0, dtype='float32'))
ops.count_nonzero(ops.greater(x, 0), axis=1)
ops.logsumexp(x)
ops.logsumexp(x, axis=1)
ops.logsumexp(x, axis=-1, keepdims=True)
ops.moments(x, axes=1)
ops.moments(x, axes=[1, 2], keepdims=True)
ops.norm(x, axis=-1)
ops.norm(x, ord=1, axis=-1)
ops.norm(x, ord=np.inf, axis=-1)
ops.norm(x, ord=3, axis=-1, keepdims=True)
ops.norm(x, ord='fro', axis=(1, 2))
ops.norm(x, ord='nuc', axis=(1, 2))
ops.norm(x, ord=2, axis=(1, 2))
ops.nanmedian(x)
ops.percentile(x, 30.0, axis=1)
ops.quantile(x, 0.3, axis=1)
ops.quantile(x, 0.3, axis=1, method='nearest')
ops.quantile(x, [0.25, 0.75], axis=-1, keepdims=True)
ops.cumsum(x, axis=1)
ops.cumsum(x, axis=-1)
ops.cumsum(x)
ops.cumprod(x, axis=1)
ops.nancumsum(x, axis=1)
ops.nancumprod(x, axis=1)
ops.diff(x)
ops.diff(x, n=2, axis=1)
ops.trapezoid(x)
ops.trapezoid(x, dx=0.5, axis=1)
ops.sort(x)
ops.sort(x, axis=1)
ops.argsort(x)
ops.argsort(x, axis=1)
ops.top_k(x, 3)
ops.sort(ops.top_k(x, 3, sorted=False)[0])
ops.digitize(x, np.array([-1.0, 0.0, 1.0], 'float32'))
ops.searchsorted(np.array([-1.0, 0.0, 1.0], 'float32'), x[0, 0])
ops.searchsorted(np.array([-1.0, 0.0, 1.0], 'float32'), x[0, 0], side='right')
ops.allclose(x, y)
ops.psnr(x, y, 1.0)
ops.nonzero(ops.greater(x, 0))
ops.associative_scan(ops.add, x, axis=1)
ops.associative_scan(ops.maximum, x, axis=1, reverse=True)
"""

_INTEGERS = """
ops.bincount(x, minlength=8)
ops.unique(x)
ops.unique(x, size=8, fill_value=0)
ops.sum(x, axis=1)
ops.max(x, axis=1)
ops.argmax(x, axis=1)
ops.cumsum(x, axis=1)
ops.sort(x)
ops.in_top_k(t, p, 2)
ops.in_top_k(t, p, 1)
"""

_SEGMENTS = """
ops.segment_sum(d, s, 4)
ops.segment_max(d, s, 4)
ops.segment_min(d, s, 4)
ops.segment_prod(d, s, 4)
"""

_FREE = """
ops.mean(x, axis=1)
ops.max(x, axis=1)
ops.cumsum(x, axis=1)
ops.logsumexp(x, axis=1)
ops.argmax(x, axis=1)
ops.sort(x, axis=1)
"""

_TENSOR = Given((10, 8))

ROWS = (
    *rows("reductions", "\n".join(_reductions()), x=_TENSOR),
    *rows("reductions", _MORE, x=_TENSOR, y=_TENSOR),
    *rows("reductions", _FREE, x=Given((None, 8))),
    *rows(
        "reductions",
        _INTEGERS,
        x=Given((6,), 0, 7, "int32"),
        p=Given((8,), batch=4),
        t=Given((), 0, 7, "int32", batch=4),
    ),
    *rows("reductions", _SEGMENTS, d=Given((8,), batch=6), s=Given((), 0, 3, "int32", batch=6)),
)
