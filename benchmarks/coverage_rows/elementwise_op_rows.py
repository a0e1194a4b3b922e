"""Operations of `keras.ops` on each element, or on the elements of two tensors at the same place."""

from .coverage_row import Given, rows

_ANY = """
ops.abs(x)
ops.absolute(x)
ops.arctan(x)
ops.arcsinh(x)
ops.cbrt(x)
ops.ceil(x)
ops.clip(x, -0.5, 0.5)
ops.conj(x)
ops.conjugate(x)
ops.copy(x)
ops.cos(x)
ops.cosh(x)
ops.deg2rad(x)
ops.erf(x)
ops.erfc(x)
ops.exp(x)
ops.exp2(x)
ops.expm1(x)
ops.fabs(x)
ops.floor(x)
ops.i0(x)
x + ops.imag(x)
ops.isfinite(ops.log(x))
ops.isinf(x / ops.relu(x))
ops.isnan(ops.log(x))
ops.isneginf(ops.log(ops.relu(x)))
ops.isposinf(1 / ops.relu(x))
ops.where(ops.isreal(x), x, 0.0)
ops.nan_to_num(x)
ops.nan_to_num(x, nan=1.0, posinf=9.0, neginf=-9.0)
ops.negative(x)
ops.rad2deg(x)
ops.real(x)
ops.round(x)
ops.round(x, decimals=1)
ops.sign(x)
ops.signbit(x)
ops.sin(x)
ops.sinc(x)
ops.sinh(x)
ops.square(x)
ops.stop_gradient(x)
ops.tan(x)
ops.tanh(x)
ops.trunc(x)
ops.angle(x)
ops.cast(x, 'int32')
ops.cast(ops.relu(x), 'bool')
ops.cast(x, 'float16')
ops.saturate_cast(x, 'uint8')
ops.view(x, 'int32')
ops.full_like(x, 2.0) * x
ops.zeros_like(x) + x
ops.ones_like(x) + x
ops.convert_to_tensor(x)
"""

_NN = """
ops.celu(x)
ops.celu(x, alpha=0.5)
ops.elu(x)
ops.gelu(x)
ops.gelu(x, approximate=False)
ops.glu(x)
ops.hard_shrink(x)
ops.hard_sigmoid(x)
ops.hard_silu(x)
ops.hard_swish(x)
ops.hard_tanh(x)
ops.leaky_relu(x)
ops.leaky_relu(x, negative_slope=0.05)
ops.log_sigmoid(x)
ops.log_softmax(x)
ops.log_softmax(x, axis=1)
ops.relu(x)
ops.relu6(x)
ops.selu(x)
ops.sigmoid(x)
ops.silu(x)
ops.swish(x)
ops.soft_shrink(x)
ops.softmax(x)
ops.softmax(x, axis=1)
ops.softplus(x)
ops.softsign(x)
ops.sparse_plus(x)
ops.sparse_sigmoid(x)
ops.sparsemax(x)
ops.squareplus(x)
ops.squareplus(x, b=1)
ops.tanh_shrink(x)
ops.threshold(x, 0.5, 2.0)
ops.normalize(x)
ops.normalize(x, axis=1, order=1)
ops.normalize(x, order=3)
ops.layer_normalization(x)
ops.layer_normalization(x, axis=1, epsilon=1e-3)
ops.rms_normalization(x)
ops.rms_normalization(x, np.arange(1.0, 9.0, dtype='float32'), axis=-1)
ops.batch_normalization(x, np.full(8, 0.5, 'float32'), np.full(8, 2.0, 'float32'), axis=-1)
ops.batch_normalization(x, np.full(10, 0.5, 'float32'), np.full(10, 2.0, 'float32'), 1, scale=np.full(10, 3, 'float32'))
"""

_POSITIVE = """
ops.log(x)
ops.log10(x)
ops.log1p(x)
ops.log2(x)
ops.reciprocal(x)
ops.rsqrt(x)
ops.sqrt(x)
"""

_UNIT = """
ops.arccos(x)
ops.arcsin(x)
ops.arctanh(x)
ops.erfinv(x)
"""

_TWO = """
ops.add(x, y)
ops.add(x, 1.5)
ops.arctan2(x, y)
ops.divide_no_nan(x, y)
ops.equal(ops.round(x), ops.round(y))
ops.fmax(x, y)
ops.fmin(x, y)
ops.greater(x, y)
ops.greater_equal(x, y)
ops.heaviside(x, y)
ops.hypot(x, y)
ops.isclose(ops.round(x), ops.round(y))
ops.less(x, y)
ops.less_equal(x, y)
ops.logaddexp(x, y)
ops.logaddexp2(x, y)
ops.maximum(x, y)
ops.minimum(x, y)
ops.multiply(x, y)
ops.nextafter(x, y)
ops.not_equal(ops.round(x), ops.round(y))
ops.subtract(x, y)
ops.where(ops.greater(x, 0), x, y)
ops.select([ops.greater(x, 1), ops.less(x, 0)], [x, y], 0.5)
ops.real(ops.polar(x, y))
ops.view_as_real(ops.polar(x, y))
"""

_QUOTIENT = """
ops.divide(x, y)
ops.true_divide(x, y)
ops.floor_divide(x, y)
ops.mod(x, y)
ops.fmod(x, y)
ops.power(y, x)
ops.power(x, 2)
ops.power(x, 3)
ops.power(y, 0.5)
ops.power(y, -1.5)
"""

_INTEGERS = """
ops.add(x, y)
ops.multiply(x, y)
ops.abs(x)
ops.floor_divide(x, y)
ops.mod(x, y)
ops.divide(x, y)
ops.maximum(x, y)
ops.power(x, 2)
ops.equal(x, y)
ops.cast(x, 'float32')
ops.bitwise_and(x, y)
ops.bitwise_invert(x)
ops.bitwise_not(x)
ops.bitwise_or(x, y)
ops.bitwise_xor(x, y)
ops.bitwise_left_shift(x, y)
ops.bitwise_right_shift(x, y)
ops.left_shift(x, y)
ops.right_shift(x, y)
ops.gcd(x, y)
ops.lcm(x, y)
ops.ldexp(ops.cast(x, 'float32'), y)
"""

_LOGICAL = """
ops.logical_and(x, y)
ops.logical_not(x)
ops.logical_or(x, y)
ops.logical_xor(x, y)
ops.where(x, 1.0, 2.0)
"""

_TENSOR = Given((10, 8))

ROWS = (
    *rows("elementwise", _ANY, x=_TENSOR),
    *rows("activations", _NN, x=_TENSOR),
    *rows("elementwise", _POSITIVE, x=Given((10, 8), 0.1, 4)),
    *rows("elementwise", _UNIT, x=Given((10, 8), -0.9, 0.9)),
    *rows("elementwise", "ops.arccosh(x)", x=Given((10, 8), 1.1, 4)),
    *rows("elementwise", _TWO, x=_TENSOR, y=_TENSOR),
    *rows("elementwise", "ops.add(x, y)\nops.multiply(x, y)\nops.maximum(x, y)", x=_TENSOR, y=Given((1, 8))),
    *rows("elementwise", _QUOTIENT, x=Given((10, 8), -3, 3), y=Given((10, 8), 0.5, 3)),
    *rows("elementwise", _INTEGERS, x=Given((6,), 1, 9, "int32"), y=Given((6,), 1, 4, "int32")),
    *rows("elementwise", _LOGICAL, x=Given((6,), dtype="bool"), y=Given((6,), dtype="bool")),
)
