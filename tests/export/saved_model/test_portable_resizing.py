"""Resizing as it is written into a file: the same numbers as Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import EXPORTS
from keras.src.backend.tensorflow import image as backend_image
from keras_norms.export.saved_model import portable_resizing
from keras_norms.export.saved_model.portable_ops import portable
from models import randomize

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

L = keras.layers
KINDS = ["bilinear", "bicubic", "lanczos3", "lanczos5", "area"]
LAYOUTS = ["channels_last", "channels_first"]
resized = portable_resizing.resize(backend_image.resize)


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def same(x, *arguments, **named):
    expected, got = backend_image.resize(x, *arguments, **named), resized(x, *arguments, **named)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 10), (4, 7), (6, 5), (3, 5)])
@pytest.mark.parametrize("antialias", [False, True])
def test_images_resized_by_weights(kind, size, antialias):
    for x, layout in ((drawn(2, 6, 5, 3), "channels_last"), (drawn(2, 3, 6, 5), "channels_first")):
        same(x, size, kind, antialias=antialias, data_format=layout)
    same(drawn(6, 5, 3), size, kind, antialias=antialias, data_format="channels_last")


@pytest.mark.parametrize("before", [1, 5, 64])
@pytest.mark.parametrize("after", [1, 6, 32])
def test_cubic_weights_of_a_free_size(before, after):
    x = drawn(2, before, 3, 2)
    expected = backend_image.resize(x, (after, 3), "bicubic", data_format="channels_last")
    np.testing.assert_allclose(portable_resizing._cubic(x, 1, before, after), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("free", [(None, None), (6, None)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "antialias"), [*((k, False) for k in KINDS), ("bilinear", True), ("bicubic", True)])
def test_images_of_free_sizes_resized_by_weights(layout, free, kind, antialias):
    shape = (None, *free, 3) if layout == "channels_last" else (None, 3, *free)
    how = {"interpolation": kind, "antialias": antialias, "data_format": layout}

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def traced(x):
        return resized(x, (9, 7), **how), resized(x, (1, 3), **how)

    for n in (2, 23):
        x = drawn(*(n if i and m is None else m or 2 for i, m in enumerate(shape)))
        for got, size in zip(traced(x), ((9, 7), (1, 3)), strict=True):
            np.testing.assert_allclose(got, backend_image.resize(x, size, **how), rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("aspect", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
@pytest.mark.parametrize("kind", ["nearest", "bicubic"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_aspect_ratio(aspect, kind, layout):
    how = {aspect: True, "data_format": layout, "fill_value": 0.5}
    for shape, size in (((6, 9), (4, 4)), ((9, 4), (9, 5)), ((7, 8), (4, 7)), ((1, 30), (4, 4)), ((5, 5), (9, 5))):
        same(drawn(2, *shape, 2) if layout == "channels_last" else drawn(2, 2, *shape), size, kind, **how)


@pytest.mark.parametrize("aspect", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_the_aspect_ratio_of_free_sizes(aspect):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def traced(x):
        return resized(x, (4, 7), "bicubic", data_format="channels_last", **{aspect: True})

    for shape in ((6, 9), (9, 4), (30, 1)):
        x = drawn(2, *shape, 3)
        expected = backend_image.resize(x, (4, 7), "bicubic", data_format="channels_last", **{aspect: True})
        np.testing.assert_allclose(traced(x), expected, rtol=1e-5, atol=5e-6)


def test_an_infinite_pixel_stays_near():
    x = drawn(1, 9, 9, 1)
    x[0, 0, 0] = np.inf
    y = resized(x, (18, 18), "bicubic", data_format="channels_last")
    assert np.isfinite(y[0, 8:]).all()
    assert np.isfinite(y[0, :, 8:]).all()


@pytest.mark.parametrize("kind", ["bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_upsampling_of_a_free_size_is_traced(kind, layout):
    layer = L.UpSampling2D((2, 3), interpolation=kind, data_format=layout)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3) if layout == LAYOUTS[0] else (None, 3, None, None))]
    )
    def traced(x):
        with portable(channels_first=True):
            return layer(x)

    for height, width in ((6, 9), (1, 4), (17, 2)):
        x = drawn(2, height, width, 3) if layout == LAYOUTS[0] else drawn(2, 3, height, width)
        np.testing.assert_allclose(traced(x), layer(x), rtol=1e-5, atol=5e-6)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_form_is_written(suffix, tmp_path):
    fixed, free, single = keras.Input((8, 6, 2), name="x"), keras.Input((None, None, 2), name="y"), {"antialias": True}
    model = keras.Model(
        [fixed, free],
        {
            **{f"up_{kind}": L.UpSampling2D(2, interpolation=kind)(L.Conv2D(2, 1)(free)) for kind in KINDS[:3]},
            **{f"to_{kind}": L.Resizing(5, 7, interpolation=kind)(free) for kind in KINDS},
            **{f"fixed_{kind}": L.Resizing(4, 9, interpolation=kind)(fixed) for kind in KINDS},
            "smaller": keras.ops.image.resize(fixed, (3, 3), **single),
            "smaller_free": keras.ops.image.resize(free, (3, 3), **single),
            "cut": L.Resizing(5, 5, interpolation="bicubic", crop_to_aspect_ratio=True)(fixed),
            "padded": L.Resizing(5, 5, interpolation="bicubic", pad_to_aspect_ratio=True)(fixed),
        },
    )
    report = EXPORTS[suffix](randomize(model), tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
