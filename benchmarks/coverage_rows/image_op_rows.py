"""Operations of `keras.ops.image`."""

from .coverage_row import COLOURS, FREE_IMAGE, IMAGE, Given, rows

_RESIZE = """
ops.image.resize(x, (12, 5))
ops.image.resize(x, (12, 5), interpolation='nearest')
ops.image.resize(x, (12, 5), interpolation='bicubic')
ops.image.resize(x, (12, 5), interpolation='lanczos3')
ops.image.resize(x, (12, 5), antialias=True)
ops.image.resize(x, (5, 5), interpolation='bicubic', antialias=True)
ops.image.resize(x, (12, 5), crop_to_aspect_ratio=True)
ops.image.resize(x, (12, 5), pad_to_aspect_ratio=True, fill_value=1.0)
ops.image.resize(x, (12, 5), data_format='channels_first')
"""

_IMAGE = """
ops.image.affine_transform(x, np.array([[1, 0.1, 0.5, 0.1, 0.9, 0, 0, 0]], 'float32'))
ops.image.affine_transform(x, np.array([[1, 0.1, 0.5, 0.1, 0.9, 0, 0, 0]], 'float32'), interpolation='nearest')
ops.image.affine_transform(x, np.array([[1, 0.1, 0.5, 0.1, 0.9, 0, 0, 0]], 'float32'), fill_mode='reflect')
ops.image.crop_images(x, top_cropping=1, left_cropping=2, target_height=4, target_width=5)
ops.image.pad_images(x, top_padding=1, left_padding=2, target_height=12, target_width=12)
ops.image.extract_patches(x, 2)
ops.image.extract_patches(x, 3, strides=1, padding='same')
ops.image.extract_patches(x, 3, strides=1, dilation_rate=2)
ops.image.extract_patches(x, (2, 4), data_format='channels_first')
ops.image.gaussian_blur(x)
ops.image.gaussian_blur(x, kernel_size=(5, 3), sigma=(2.0, 0.5))
ops.image.sobel_edges(x)
ops.image.map_coordinates(x[0, :, :, 0], np.linspace(0, 6.5, 32, dtype='float32').reshape(2, 4, 4), order=1)
ops.image.map_coordinates(x[0, :, :, 0], np.linspace(0, 6.5, 32, dtype='float32').reshape(2, 4, 4), order=0)
ops.image.map_coordinates(x[0, :, :, 0], np.linspace(-2, 9, 32, dtype='float32').reshape(2, 4, 4), 1, fill_mode='wrap')
ops.image.scale_and_translate(x, (2, 6, 6, 8), np.full(2, 0.75, 'float32'), np.zeros(2, 'float32'), (1, 2), 'linear')
"""

_START, _END = (
    "[[[0.0, 0.0], [0.0, 7.0], [7.0, 0.0], [7.0, 7.0]]]",
    "[[[1.0, 0.0], [0.0, 6.0], [6.0, 1.0], [7.0, 7.0]]]",
)

_COLOURS = f"""
ops.image.rgb_to_grayscale(x)
ops.image.rgb_to_hsv(x)
ops.image.hsv_to_rgb(x)
ops.image.ssim(x, y, filter_size=3)
ops.image.perspective_transform(x, np.array({_START}, 'float32'), np.array({_END}, 'float32'))
"""

_FREE = """
ops.image.resize(x, (12, 5))
ops.image.resize(x, (12, 5), interpolation='bicubic')
ops.image.extract_patches(x, 2)
ops.image.gaussian_blur(x)
ops.image.sobel_edges(x)
"""

ROWS = (
    *rows("images", _RESIZE, x=IMAGE),
    *rows("images", _IMAGE, x=IMAGE),
    *rows("images", _COLOURS, x=COLOURS, y=COLOURS),
    *rows("images", _FREE, x=FREE_IMAGE),
    *rows("images", "ops.image.extract_patches_3d(x, 2)", x=Given((4, 4, 4, 3))),
    *rows("images", "ops.image.extract_patches_3d(x, 2, strides=1, padding='same')", x=Given((4, 4, 4, 3))),
)
