"""Convolutions of rank 1 to 3: plain, grouped, depthwise, separable, transposed."""

from .coverage_row import FREE_IMAGE, FREE_SERIES, FREE_VOLUME, IMAGE, SERIES, VOLUME, rows

_FIRST = "data_format='channels_first'"

_ONE = f"""
layers.Conv1D(16, 3)(x)
layers.Conv1D(16, 3, use_bias=False)(x)
layers.Conv1D(16, 3, padding='same')(x)
layers.Conv1D(16, 3, padding='causal')(x)
layers.Conv1D(16, 3, padding='causal', dilation_rate=2)(x)
layers.Conv1D(16, 3, strides=2, padding='same')(x)
layers.Conv1D(16, 3, dilation_rate=2)(x)
layers.Conv1D(16, 3, groups=2)(x)
layers.Conv1D(16, 3, groups=4, padding='same', strides=2)(x)
layers.Conv1D(16, 3, groups=8, dilation_rate=2)(x)
layers.Conv1D(16, 3, {_FIRST})(x)
layers.Conv1D(16, 3, activation='relu')(x)
layers.DepthwiseConv1D(3)(x)
layers.DepthwiseConv1D(3, use_bias=False, depth_multiplier=2)(x)
layers.DepthwiseConv1D(3, strides=2, padding='same')(x)
layers.DepthwiseConv1D(3, dilation_rate=2)(x)
layers.DepthwiseConv1D(3, {_FIRST})(x)
layers.SeparableConv1D(16, 3)(x)
layers.SeparableConv1D(16, 3, strides=2, padding='same')(x)
layers.SeparableConv1D(16, 3, dilation_rate=2)(x)
layers.SeparableConv1D(16, 3, depth_multiplier=2, use_bias=False)(x)
layers.SeparableConv1D(16, 3, {_FIRST})(x)
layers.Conv1DTranspose(16, 3)(x)
layers.Conv1DTranspose(16, 3, strides=2)(x)
layers.Conv1DTranspose(16, 3, strides=2, padding='same', use_bias=False)(x)
layers.Conv1DTranspose(16, 3, strides=2, padding='same', output_padding=1)(x)
layers.Conv1DTranspose(16, 3, dilation_rate=2)(x)
layers.Conv1DTranspose(16, 4, strides=2, padding='same', {_FIRST})(x)
"""

_TWO = f"""
layers.Conv2D(16, 3)(x)
layers.Conv2D(16, 3, use_bias=False)(x)
layers.Conv2D(16, 1)(x)
layers.Conv2D(16, (1, 5), padding='same')(x)
layers.Conv2D(16, 3, padding='same')(x)
layers.Conv2D(16, 3, strides=2)(x)
layers.Conv2D(16, 3, strides=2, padding='same')(x)
layers.Conv2D(16, 3, strides=(2, 1))(x)
layers.Conv2D(16, 3, dilation_rate=2)(x)
layers.Conv2D(16, 3, dilation_rate=(1, 2), padding='same')(x)
layers.Conv2D(16, 3, groups=2)(x)
layers.Conv2D(16, 3, groups=4, strides=2, padding='same')(x)
layers.Conv2D(16, 3, groups=8, dilation_rate=2)(x)
layers.Conv2D(16, 3, {_FIRST})(x)
layers.Conv2D(16, 3, groups=2, {_FIRST})(x)
layers.Conv2D(16, 3, strides=2, padding='same', {_FIRST})(x)
layers.Conv2D(16, 3, activation='relu')(x)
layers.Conv2D(16, 3, activation='gelu')(x)
layers.Conv2D(16, 3, activation='softplus')(x)
layers.ReLU(max_value=1.0, negative_slope=0.1)(layers.Conv2D(16, 3)(x))
layers.DepthwiseConv2D(3)(x)
layers.DepthwiseConv2D(3, use_bias=False)(x)
layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
layers.DepthwiseConv2D(3, strides=2, padding='same')(x)
layers.DepthwiseConv2D(3, dilation_rate=2, padding='same')(x)
layers.DepthwiseConv2D(3, {_FIRST})(x)
layers.SeparableConv2D(16, 3)(x)
layers.SeparableConv2D(16, 3, strides=2, padding='same', use_bias=False)(x)
layers.SeparableConv2D(16, 3, dilation_rate=2)(x)
layers.SeparableConv2D(16, 3, depth_multiplier=2)(x)
layers.SeparableConv2D(16, 3, {_FIRST})(x)
layers.Conv2DTranspose(16, 3)(x)
layers.Conv2DTranspose(16, 3, strides=2)(x)
layers.Conv2DTranspose(16, 3, strides=2, padding='same', use_bias=False)(x)
layers.Conv2DTranspose(16, 3, strides=2, padding='same', output_padding=1)(x)
layers.Conv2DTranspose(16, 2, strides=3, padding='same')(x)
layers.Conv2DTranspose(16, 3, strides=(1, 2))(x)
layers.Conv2DTranspose(16, 3, dilation_rate=2)(x)
layers.Conv2DTranspose(16, 4, strides=2, padding='same', {_FIRST})(x)
"""

_THREE = f"""
layers.Conv3D(8, 3)(x)
layers.Conv3D(8, 3, use_bias=False)(x)
layers.Conv3D(8, 3, padding='same')(x)
layers.Conv3D(8, 3, strides=2, padding='same')(x)
layers.Conv3D(8, (1, 3, 3), strides=(1, 2, 2))(x)
layers.Conv3D(8, 2, dilation_rate=2)(x)
layers.Conv3D(8, 2, groups=2)(x)
layers.Conv3D(8, 2, groups=4, padding='same', strides=2)(x)
layers.Conv3D(8, 3, {_FIRST})(x)
layers.Conv3DTranspose(8, 3)(x)
layers.Conv3DTranspose(8, 3, strides=2, use_bias=False)(x)
layers.Conv3DTranspose(8, 3, strides=2, padding='same')(x)
layers.Conv3DTranspose(8, 3, strides=2, padding='same', output_padding=1)(x)
layers.Conv3DTranspose(8, 4, strides=2, padding='same', {_FIRST})(x)
"""

_FREE_ONE = """
layers.Conv1D(16, 3)(x)
layers.Conv1D(16, 3, padding='causal', dilation_rate=2)(x)
layers.Conv1D(16, 3, strides=2, padding='same')(x)
layers.DepthwiseConv1D(3, padding='same')(x)
layers.SeparableConv1D(16, 3, padding='same')(x)
layers.Conv1DTranspose(16, 3, strides=2, padding='same')(x)
"""

_FREE_TWO = """
layers.Conv2D(16, 3)(x)
layers.Conv2D(16, 3, strides=2, padding='same')(x)
layers.Conv2D(16, 3, groups=2, padding='same')(x)
layers.Conv2D(16, 3, dilation_rate=2, padding='same')(x)
layers.DepthwiseConv2D(3, strides=2, padding='same')(x)
layers.SeparableConv2D(16, 3, padding='same')(x)
layers.Conv2DTranspose(16, 3, strides=2)(x)
layers.Conv2DTranspose(16, 3, strides=2, padding='same')(x)
"""

_FREE_THREE = """
layers.Conv3D(8, 3)(x)
layers.Conv3D(8, 3, strides=2, padding='same')(x)
layers.Conv3DTranspose(8, 3, strides=2, padding='same')(x)
"""

_FREE_FIRST = f"""
layers.Conv2D(16, 3, padding='same', {_FIRST})(x)
layers.Conv2DTranspose(16, 4, strides=2, padding='same', {_FIRST})(x)
"""


def _first(given):
    return type(given)((given.shape[-1], *given.shape[:-1]))


def _all(code, given):
    lines = code.splitlines()
    last = rows("convolutions", "\n".join(line for line in lines if "first" not in line), x=given)
    return (*last, *rows("convolutions", "\n".join(line for line in lines if "first" in line), x=_first(given)))


ROWS = (
    *_all(_ONE, SERIES),
    *_all(_TWO, IMAGE),
    *_all(_THREE, VOLUME),
    *_all(_FREE_ONE, FREE_SERIES),
    *_all(_FREE_TWO, FREE_IMAGE),
    *_all(_FREE_THREE, FREE_VOLUME),
    *_all(_FREE_FIRST, FREE_IMAGE),
)
