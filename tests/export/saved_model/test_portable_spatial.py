"""Pooling and convolution as they are written into a file: the same numbers as Keras' own."""

import itertools

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import nn as backend_nn
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras_norms.export import to_tflite
from keras_norms.export.saved_model import portable_pooling, portable_spatial
from models import randomize

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

L = keras.layers


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def same(form, original, *arguments, **named):
    expected, got = original(*arguments, **named), form(original)(*arguments, **named)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


POOLS = list(itertools.product(("max_pool", "average_pool"), (2, (1, 3, 2)), (None, 1, (2, 1, 3)), ("valid", "same")))


@pytest.mark.parametrize(("kind", "size", "strides", "padding"), POOLS)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_volumes_pooled_as_images(kind, size, strides, padding, layout):
    x = drawn(2, 4, 5, 6, 7)
    same(portable_pooling.pool_volume, getattr(backend_nn, kind), x, size, strides, padding, layout)


ADAPTED = [((6,), 3), ((7,), (3,)), ((5,), 2), ((3,), 5), ((6, 5), 2), ((6, 7), (6, 3)), ((4, 5, 6), 2), ((4, 5, 3), 3)]


@pytest.mark.skipif(not hasattr(backend_nn, "adaptive_max_pool"), reason="this Keras has no such pooling")
@pytest.mark.parametrize("kind", ["average", "max"])
@pytest.mark.parametrize(("sizes", "count"), ADAPTED)
def test_as_many_windows_as_are_wanted(kind, sizes, count):
    form = portable_pooling.adaptive_pool(getattr(ops, f"{kind}_pool"))
    for shape, layout in (((2, *sizes, 3), "channels_last"), ((2, 3, *sizes), "channels_first")):
        x = ops.convert_to_tensor(drawn(*shape))
        same(form, getattr(backend_nn, f"adaptive_{kind}_pool"), x, count, layout)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("for_tflite", [False, True])
def test_volumes_convolved_in_groups(padding, layout, for_tflite):
    x, kernel = drawn(2, 4, 5, 6, 4), drawn(2, 2, 3, 2, 6)
    same(portable_spatial.conv(for_tflite), backend_nn.conv, x, kernel, 2, padding, layout)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize(("channels", "outputs"), [(4, 3), (2, 6)])  # the second in two groups
def test_rows_channels_first(strides, channels, outputs):
    x, kernel = drawn(2, 4, 9), drawn(3, channels, outputs)
    same(portable_spatial.conv(True), backend_nn.conv, x, kernel, strides, "same", "channels_first")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("size", [(2, 3), (4, 1), (3, 3)])
@pytest.mark.parametrize("dilation", [2, 3, (1, 2)])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_dilated_transposed_convolutions(padding, size, dilation, layout):
    x, kernel = drawn(2, 6, 7, 5), drawn(*size, 3, 5 if layout == "channels_last" else 6)

    def original(x, kernel, strides, padding, output_padding, layout, dilation):
        """TensorFlow has no such kernel on a CPU: the numbers of the kernel with zeros in it."""
        apart = (dilation,) * 2 if isinstance(dilation, int) else dilation
        spread = np.zeros(
            [(n - 1) * d + 1 for n, d in zip(kernel.shape, apart, strict=False)] + list(kernel.shape[2:]), np.float32
        )
        spread[:: apart[0], :: apart[1]] = kernel
        last = np.moveaxis(x, 1, -1) if layout == "channels_first" else x
        y = backend_nn.conv_transpose(last, spread, strides, padding, output_padding, "channels_last", 1)
        return np.moveaxis(y, -1, 1) if layout == "channels_first" else y

    same(portable_spatial.conv_transpose(True), original, x, kernel, 1, padding, None, layout, dilation)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 5, 4, 6), (2, 3, 3), (2, 3, 4, 3), (2, 3, 4, 5)])
def test_biases_channels_first(shape):
    bias = drawn(3).reshape(1, 3, *[1] * (len(shape) - 2))
    same(portable_spatial.add_channels_first, backend_numpy.add, drawn(*shape), bias)
    same(portable_spatial.add_channels_first, backend_numpy.add, drawn(*shape), drawn(shape[-1]))
    same(portable_spatial.add_channels_first, backend_numpy.add, drawn(*shape), 1.5)


def everything():
    """One output for each form, of which no converter or no runtime knows the layer as Keras writes it."""
    volume, image, row = (keras.Input(s, name=n) for s, n in (((4, 5, 4, 4), "v"), ((6, 5, 2), "i"), ((4, 8), "r")))
    free, wide = keras.Input((None, None, None, 2), name="free"), keras.Input((None, None, 2), name="wide")
    first = {"data_format": "channels_first"}
    return keras.Model(
        [volume, image, row, free, wide],
        {
            "max_pool": L.MaxPooling3D(2)(volume),
            "average_pool": L.AveragePooling3D(3, strides=2, padding="same")(volume),
            "average_adaptive": L.AdaptiveAveragePooling3D(2)(volume),
            "max_adaptive": L.AdaptiveMaxPooling3D(3)(volume),
            "average_free": L.AveragePooling3D(2, padding="same")(free),
            "max_free": L.MaxPooling3D(2)(free),
            "grouped": L.Conv3D(4, 2, groups=2)(volume),
            "grouped_first": L.Conv3D(4, 2, groups=2, **first)(volume),
            "volume_first": L.Conv3D(3, 2, strides=2, **first)(volume),
            "dilated": L.Conv3D(3, 2, dilation_rate=2, padding="same")(volume),
            "conv_first": L.Conv1D(3, 2, **first)(row),
            "dilated_first": L.Conv2D(2, (3, 2), dilation_rate=(2, 1), **first)(image),
            "separable_first": L.SeparableConv1D(3, 2, **first)(row),
            "transposed_first": L.Conv1DTranspose(3, 2, strides=2, **first)(row),
            "transposed_dilated": L.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")(image),
            "bicubic": L.UpSampling2D(2, interpolation="bicubic")(image),
            "lanczos": L.Resizing(4, 9, interpolation="lanczos3")(image),
            "bicubic_free": L.Resizing(5, 7, interpolation="bicubic")(wide),
            "logaddexp": ops.logaddexp(row, -row),
            "columns": L.Conv2D(2, 1, **first)(image),  # as many as channels
            "slice": L.Conv2D(3, 2)(image)[:, ::-1],
            **{f"{name}_far": L.Activation(name)(100.0 * row) for name in ("softplus", "log_sigmoid", "mish")},
            "celu": L.Activation("celu")(row),
            "erf": ops.erf(row),
            "one_hot": ops.one_hot(ops.cast(row[..., 0], "int32"), 3),
        },
    )


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_windows_equally_far_apart_are_one_pooling(suffix, tmp_path):
    x = keras.Input((6, 5, 2))
    report = EXPORTS[suffix](keras.Model(x, L.AdaptiveAveragePooling2D((3, 2))(x)), tmp_path / f"m{suffix}")
    expected = {".tflite": {"AVERAGE_POOL_2D": 1}, ".onnx": {"AveragePool": 1, "Transpose": 2}}
    assert report.ops == expected[suffix]


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_form_is_written(suffix, tmp_path):
    report = EXPORTS[suffix](randomize(everything()), tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
    assert not any(kind.startswith("Flex") for kind in report.ops)


@pytest.mark.runtime
def test_a_kernel_as_large_as_an_image_that_is_padded_behind(tmp_path):
    """Of which LiteRT's builtin kernels compute one place in several threads, whose padding is therefore by itself."""
    xs = [keras.Input(shape) for shape in ((2, 2, 3), (1, 2, 3), (2, 3), (3, 3, 2))]
    sizes = (2, (1, 2), 2, 3)
    ys = [
        (L.Conv1D if len(x.shape) == 3 else L.Conv2D)(8, n, padding="same")(x) for x, n in zip(xs, sizes, strict=True)
    ]
    report = to_tflite(randomize(keras.Model(xs, ys)), tmp_path / "m.tflite")
    assert report.ops["PADV2"] == 3
    assert report.verification.relative < 2e-5


@pytest.mark.runtime
def test_a_dilated_kernel_of_one_number_runs_channels_first(tmp_path):
    x = keras.Input((5, 5, 8), batch_size=1)
    y = L.Conv2D(4, 1, padding="same", dilation_rate=2, data_format="channels_first")(x)
    assert to_tflite(keras.Model(x, y), tmp_path / "m.tflite").verification.ok
