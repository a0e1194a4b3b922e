"""Fourier transforms as they are written into a file: the numbers of NumPy in float64, and of Keras."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import math as backend_math
from keras_norms.export.saved_model import portable_fourier
from keras_norms.export.saved_model.portable_ops import portable

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

L = keras.layers


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 128, 130, 257, 300, 2048])
def test_each_frequency_is_right_to_a_few_rounding_steps(n):
    re, im = drawn(2, n), drawn(3, 2, n)[1]
    exact = np.fft.fft(re.astype(np.float64) + 1j * im)
    got = portable_fourier.transform(*map(ops.convert_to_tensor, (re, im)))
    np.testing.assert_allclose(np.add(got[0], 1j * np.asarray(got[1])), exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    real = portable_fourier.transform(ops.convert_to_tensor(re), None)
    exact = np.fft.fft(re.astype(np.float64))
    np.testing.assert_allclose(
        np.add(real[0], 1j * np.asarray(real[1])), exact, rtol=0, atol=1e-6 * np.abs(exact).max()
    )


def pair(n):
    return drawn(2, 4, n), drawn(3, 4, n)[:2]


CALLS = {
    "fft": lambda: (pair(12),),
    "fft2": lambda: (pair(6),),
    "rfft": lambda: (drawn(2, 30),),
    "irfft": lambda: (pair(9),),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_numbers_of_keras(name):
    same(name, *CALLS[name]())


@pytest.mark.parametrize("length", [5, 16, 40])
def test_other_lengths(length):
    same("rfft", drawn(2, 30), length)
    same("irfft", pair(9), length)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("window", ["hann", "hamming", None])
@pytest.mark.parametrize("sizes", [(16, 8, 16), (12, 5, 16), (7, 3, 8)])
def test_short_time_transforms(center, window, sizes):
    how = {"window": window, "center": center}
    same("stft", drawn(2, 64), *sizes, **how)
    if sizes[1] * 2 == sizes[0] and window is not None:
        spectrum = backend_math.stft(drawn(2, 64), *sizes, **how)
        same("istft", spectrum, *sizes, **how)
        same("istft", spectrum, *sizes, length=40, **how)


def same(name, *arguments, **named):
    expected = getattr(backend_math, name)(*arguments, **named)
    with portable(channels_first=True):
        got = getattr(backend_math, name)(*arguments, **named)
    for one, other in zip(ops.convert_to_tensor(got), ops.convert_to_tensor(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_signals_are_written(suffix, tmp_path):
    x, two = keras.Input((64,), name="x"), keras.Input((96, 2), name="two")
    outputs = {
        "mel": L.MelSpectrogram(fft_length=32, sequence_stride=16, num_mel_bins=8)(x),
        "spectrum": L.STFTSpectrogram(mode="real", frame_length=16)(two),
        "back": ops.irfft(ops.rfft(x)),
        "odd": ops.rfft(x, fft_length=30)[0],
        "turned": ops.fft((x, 2.0 * x))[1],
    }
    report = EXPORTS[suffix](keras.Model([x, two], outputs), tmp_path / f"m{suffix}")
    assert report.verification.ok
