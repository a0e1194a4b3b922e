"""Preprocessing layers: images (augmentation layers as they are at inference), audio, numbers and text."""

from .coverage_row import PIXELS, Given, rows

_AUGMENTATION = """
layers.AugMix()(x)
layers.AutoContrast()(x)
layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))(x)
layers.CutMix()(x)
layers.Pipeline([layers.Equalization()])(x)
layers.MixUp()(x)
layers.Pipeline([layers.Rescaling(1 / 255), layers.Resizing(4, 4)])(x)
layers.RandAugment()(x)
layers.RandomBrightness(0.2)(x)
layers.RandomColorDegeneration(0.5)(x)
layers.RandomColorJitter(brightness_factor=0.2)(x)
layers.RandomContrast(0.5)(x)
layers.RandomCrop(4, 4)(x)
layers.RandomElasticTransform()(x)
layers.RandomErasing()(x)
layers.RandomFlip()(x)
layers.RandomGaussianBlur()(x)
layers.RandomGrayscale()(x)
layers.RandomHue(0.2)(x)
layers.RandomInvert()(x)
layers.RandomPerspective()(x)
layers.RandomPosterization(4)(x)
layers.RandomRotation(0.2)(x)
layers.RandomSaturation(0.5)(x)
layers.RandomSharpness(0.5)(x)
layers.RandomShear(0.2, 0.2)(x)
layers.RandomTranslation(0.2, 0.2)(x)
layers.RandomZoom(0.2)(x)
layers.Rescaling(1 / 127.5, offset=-1)(x)
layers.Rescaling([1.0, 0.5, 2.0])(x)
layers.Solarization(threshold_factor=(0.5, 0.5))(x)
layers.Normalization(mean=[100.0, 120.0, 90.0], variance=[50.0, 60.0, 70.0])(x)
layers.Normalization(mean=2.0, variance=3.0, axis=None)(x)
layers.Normalization(mean=[100.0, 120.0, 90.0], variance=[50.0, 60.0, 70.0], invert=True)(x)
"""

_AUDIO = """
layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8)(x)
layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8, power_to_db=False)(x)
layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8, mag_exp=1.0, top_db=40.0)(x)
"""

_STFT = """
layers.STFTSpectrogram(frame_length=64)(x)
layers.STFTSpectrogram(mode='magnitude', frame_length=64, frame_step=32)(x)
layers.STFTSpectrogram(mode='psd', frame_length=64, fft_length=128)(x)
layers.STFTSpectrogram(mode='real', frame_length=64, padding='same')(x)
layers.STFTSpectrogram(mode='imag', frame_length=64, window='hamming')(x)
layers.STFTSpectrogram(mode='angle', frame_length=64)(x)
layers.STFTSpectrogram(mode='stft', frame_length=64, expand_dims=True)(x)
"""

_CATEGORIES = """
layers.CategoryEncoding(num_tokens=8)(x)
layers.CategoryEncoding(num_tokens=8, output_mode='one_hot')(x)
layers.CategoryEncoding(num_tokens=8, output_mode='count')(x)
layers.CategoryEncoding(num_tokens=8, output_mode='count')(x, count_weights=w)
layers.Hashing(5)(x)
layers.IntegerLookup(vocabulary=[2, 3, 5])(x)
layers.IntegerLookup(vocabulary=[2, 3, 5], mask_token=0)(x)
layers.IntegerLookup(vocabulary=[2, 3, 5], num_oov_indices=2)(x)
layers.IntegerLookup(vocabulary=[5, 7, 0, 1, 6, 2, 3, 4], num_oov_indices=0)(ops.mod(x, 8))
layers.IntegerLookup(vocabulary=[2, 3, 5], invert=True)(x)
layers.IntegerLookup(vocabulary=[2, 3, 5], output_mode='multi_hot')(x)
layers.IntegerLookup(vocabulary=[2, 3, 5], output_mode='count')(x)
"""

_NUMBERS = """
layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5])(x)
layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5], output_mode='one_hot')(x)
layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5], output_mode='multi_hot')(x)
layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5], output_mode='count')(x)
"""

_WORDS = """
layers.StringLookup(vocabulary=['a', 'b', 'c'])(x)
layers.StringLookup(vocabulary=['a', 'b', 'c'], output_mode='multi_hot')(x)
layers.TextVectorization(vocabulary=['a', 'b', 'c'], output_sequence_length=4)(x)
layers.Hashing(5)(x)
"""

_INTEGERS = {"x": Given((6,), 0, 7, "int32"), "y": Given((6,), 0, 7, "int32"), "w": Given((6,))}

ROWS = (
    *rows("preprocessing", _AUGMENTATION, x=PIXELS),
    *rows("preprocessing", _AUDIO, x=Given((256,))),
    *rows("preprocessing", _STFT, x=Given((256, 2))),
    *rows("preprocessing", _CATEGORIES, **_INTEGERS),
    *rows(
        "preprocessing", "layers.HashedCrossing(5)([x, y])", x=Given((1,), 0, 7, "int32"), y=Given((1,), 0, 7, "int32")
    ),
    *rows("preprocessing", _NUMBERS, x=Given((6,))),
    *rows("preprocessing", "layers.StringLookup(vocabulary=['a', 'b', 'c'], invert=True)(x)", x=_INTEGERS["x"]),
    *rows("preprocessing", _WORDS, x=Given((1,), dtype="string")),
)
