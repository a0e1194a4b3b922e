"""Convolutions in forms for a file, where converters have none or a wrong one.

conv                     of volumes in groups: each group by itself. Keras compiles it for XLA, and converters lose the
                         groups. Of rows, volumes and dilated images channels first, for TFLite: between two
                         transposes. Of volumes dilated, for TFLite: the operation that TensorFlow itself cannot run.
                         Padded on one side of two numbers, for TFLite: the padding by itself. A dilation of one
                         number: none
conv_transpose           channels first: between two transposes. Dilated, for TFLite: a convolution
add                      of a bias to rows or volumes channels first: Keras makes a BiasAdd of it, at which TFLite's
                         converter fails. Where there are as many columns as channels, Keras adds the bias along the
                         columns, even of images, and ONNX's converter along the channels
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from .channel_layout import LAST, as_given, channels_last, each, is_first
from .transposed_padding import rows_cut, tell_cut

Operation = Callable[..., Any]


def conv(for_tflite: bool) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(
            inputs: Any,
            kernel: Any,
            strides: Any = 1,
            padding: str = "valid",
            data_format: str | None = None,
            dilation_rate: Any = 1,
        ) -> Any:
            first, rank = is_first(data_format), len(inputs.shape)
            groups = (inputs.shape[1 if first else -1] or 0) // kernel.shape[-2]
            dilation_rate = _moving(kernel, each(dilation_rate, rank - 2))
            apart = for_tflite and max(dilation_rate) > 1
            dilated, turned = apart and rank == 5, first and for_tflite and (apart or rank != 4)
            if for_tflite and padding == "same" and _covers_two(inputs, kernel, strides, dilation_rate, first):
                inputs, padding = _padded_behind(inputs, first), "valid"
            if not (dilated or turned or (rank == 5 and groups > 1)):
                return original(inputs, kernel, strides, padding, data_format, dilation_rate)
            x, by_group = channels_last(inputs, data_format), rank == 5 and groups > 1
            parts = ops.split(x, groups, axis=-1) if by_group else [x]
            kernels = ops.split(kernel, groups, axis=-1) if by_group else [kernel]
            one = _dilated_volume if dilated else original
            made = [
                one(part, weights, strides, padding, LAST, dilation_rate)
                for part, weights in zip(parts, kernels, strict=True)
            ]
            return as_given(ops.concatenate(made, axis=-1) if by_group else made[0], data_format)

        return call

    return form


def _moving(kernel: Any, dilation_rate: tuple[int, ...]) -> tuple[int, ...]:
    """The dilation, without that of single numbers: for it the converter may make a SpaceToBatch that does not run."""
    return tuple(rate if size > 1 else 1 for size, rate in zip(kernel.shape, dilation_rate, strict=False))


def _covers_two(inputs: Any, kernel: Any, strides: Any, dilation_rate: Any, first: bool) -> bool:
    """Whether the kernel is as large as the image or row, two numbers wide, and moves over padding that is all behind.

    LiteRT's builtin kernels, in several threads, take such a convolution for a product of matrices, as it is without
    padding, and compute the first place alone; what they give for the others is whatever was in memory.
    """
    sizes = tuple(inputs.shape[2:] if first else inputs.shape[1:-1])
    plain = max(each(strides, len(sizes))) == max(each(dilation_rate, len(sizes))) == 1
    return plain and len(sizes) < 3 and sizes == tuple(kernel.shape[:-2]) and max(sizes) == 2


def _padded_behind(x: Any, first: bool) -> Any:
    behind = [[0, n - 1] for n in (x.shape[2:] if first else x.shape[1:-1])]
    widths = [[0, 0], *([[0, 0], *behind] if first else [*behind, [0, 0]])]
    # Pad is what the converter merges into the convolution again.
    return tf.raw_ops.PadV2(input=x, paddings=widths, constant_values=0.0)


def _dilated_volume(x: Any, kernel: Any, strides: Any, padding: str, _: str, dilation_rate: Any) -> Any:
    """TensorFlow regroups the volume, for its own kernel knows no dilation on a CPU; that of TFLite does."""
    steps, apart = ((1, *each(size, 3), 1) for size in (strides, dilation_rate))
    weights = ops.convert_to_tensor(kernel)
    return tf.raw_ops.Conv3D(input=x, filter=weights, strides=steps, padding=padding.upper(), dilations=apart)


def conv_transpose(for_tflite: bool) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(
            inputs: Any,
            kernel: Any,
            strides: Any = 1,
            padding: str = "valid",
            output_padding: Any = None,
            data_format: str | None = None,
            dilation_rate: Any = 1,
        ) -> Any:
            x = channels_last(inputs, data_format)
            rank = len(x.shape) - 2
            if for_tflite and max(each(dilation_rate, rank)) > 1 == max(each(strides, rank)):
                y = _as_convolution(x, kernel, padding, each(dilation_rate, rank))
            else:
                y = original(x, kernel, strides, padding, output_padding, LAST, dilation_rate)
                given = [None] * rank if output_padding is None else each(output_padding, rank)
                axes = zip(kernel.shape, each(strides, rank), given, each(dilation_rate, rank), strict=False)
                tell_cut(y, [rows_cut(size, step, padding, added, apart) for size, step, added, apart in axes])
            return as_given(y, data_format)

        return call

    return form


def _as_convolution(x: Any, kernel: Any, padding: str, apart: tuple[int, ...]) -> Any:
    """A transposed convolution in steps of one: a convolution of the padded input with the kernel turned around."""
    rank = len(apart)
    turned = ops.swapaxes(tf.reverse(kernel, list(range(rank))), -1, -2)
    around = [[0, 0]]
    for size, step in zip(kernel.shape, apart, strict=False):
        reach = (size - 1) * step
        cut = reach // 2 if padding == "same" else 0
        around.append([reach - cut, cut if padding == "same" else reach])
    return ops.conv(ops.pad(x, [*around, [0, 0]]), turned, 1, "valid", LAST, apart)


def add_channels_first(original: Operation) -> Operation:
    def call(x1: Any, x2: Any) -> Any:
        sizes, rank = tuple(getattr(x2, "shape", ())), len(getattr(x1, "shape", ()))
        bias = [n for n in sizes if n != 1]
        if rank < 3 or len(bias) != 1 or sizes[-1] == bias[0] or x1.dtype != x2.dtype:
            return original(x1, x2)
        if x1.shape[-1] == bias[0]:  # here Keras adds along the last axis, whichever the bias is for
            return tf.add(x1, ops.reshape(x2, (-1,)))
        if rank != 4 and x1.shape[1] == bias[0]:
            return tf.add(x1, ops.reshape(x2, (1, -1, *[1] * (rank - 2))))
        return original(x1, x2)

    return call
