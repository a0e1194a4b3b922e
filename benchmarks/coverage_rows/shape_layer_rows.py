"""Pooling, resizing, padding, cropping, reshaping and merging layers."""

from .coverage_row import FREE_IMAGE, FREE_SERIES, FREE_VOLUME, IMAGE, SERIES, VECTOR, VOLUME, Given, rows

_FIRST = "data_format='channels_first'"


def _pooling(rank, given, free):
    kinds = ("Max", "Average")
    lines = [f"layers.{kind}Pooling{rank}D({args})(x)" for kind in kinds for args in _WINDOWS]
    lines += [f"layers.Global{kind}Pooling{rank}D({args})(x)" for kind in kinds for args in ("", "keepdims=True")]
    lines += [f"layers.Adaptive{kind}Pooling{rank}D({size})(x)" for kind in kinds for size in (2, 4)]
    first = [f"layers.{kind}Pooling{rank}D(2, {_FIRST})(x)" for kind in kinds]
    first += [f"layers.Global{kind}Pooling{rank}D({_FIRST})(x)" for kind in kinds]
    first += [f"layers.Adaptive{kind}Pooling{rank}D(2, {_FIRST})(x)" for kind in kinds]
    free_lines = [f"layers.{kind}Pooling{rank}D(2, padding='same')(x)" for kind in kinds]
    free_lines += [f"layers.Global{kind}Pooling{rank}D()(x)" for kind in kinds]
    return (
        *rows("pooling", "\n".join(lines), x=given),
        *rows("pooling", "\n".join(first), x=given),
        *rows("pooling", "\n".join(free_lines), x=free),
    )


_WINDOWS = ("2", "3, strides=2", "3, strides=1, padding='same'", "2, strides=3", "3, strides=2, padding='same'")

_SERIES = """
layers.ZeroPadding1D(2)(x)
layers.ZeroPadding1D((1, 0))(x)
layers.Cropping1D((2, 1))(x)
layers.UpSampling1D(3)(x)
layers.Permute((2, 1))(x)
layers.Reshape((4, 20))(x)
layers.Reshape((-1, 4))(x)
layers.Flatten()(x)
layers.Flatten(data_format='channels_first')(x)
"""

_IMAGE = f"""
layers.ZeroPadding2D(1)(x)
layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
layers.ZeroPadding2D(1, {_FIRST})(x)
layers.Cropping2D(((1, 0), (2, 1)))(x)
layers.Cropping2D(1, {_FIRST})(x)
layers.UpSampling2D(2)(x)
layers.UpSampling2D((3, 2))(x)
layers.UpSampling2D(2, {_FIRST})(x)
layers.UpSampling2D(2, interpolation='bilinear')(x)
layers.UpSampling2D(2, interpolation='bilinear', {_FIRST})(x)
layers.UpSampling2D(2, interpolation='bicubic')(x)
layers.UpSampling2D(2, interpolation='lanczos3')(x)
layers.UpSampling2D(2, interpolation='lanczos5')(x)
layers.Resizing(12, 5)(x)
layers.Resizing(12, 5, interpolation='nearest')(x)
layers.Resizing(12, 5, interpolation='bicubic')(x)
layers.Resizing(12, 5, interpolation='lanczos3')(x)
layers.Resizing(12, 5, interpolation='lanczos5')(x)
layers.Resizing(12, 5, antialias=True)(x)
layers.Resizing(5, 5, interpolation='bicubic', antialias=True)(x)
layers.Resizing(12, 5, crop_to_aspect_ratio=True)(x)
layers.Resizing(12, 5, pad_to_aspect_ratio=True)(x)
layers.Resizing(12, 5, {_FIRST})(x)
layers.CenterCrop(5, 4)(x)
layers.CenterCrop(12, 12)(x)
layers.CenterCrop(5, 4, {_FIRST})(x)
layers.Permute((3, 1, 2))(x)
layers.Reshape((64, 8))(x)
layers.Flatten()(x)
layers.Flatten({_FIRST})(x)
"""

_VOLUME = f"""
layers.ZeroPadding3D(1)(x)
layers.ZeroPadding3D(1, {_FIRST})(x)
layers.Cropping3D(((1, 0), (2, 1), (0, 1)))(x)
layers.Cropping3D(1, {_FIRST})(x)
layers.UpSampling3D(2)(x)
layers.UpSampling3D((1, 2, 3))(x)
layers.UpSampling3D(2, {_FIRST})(x)
"""

_FREE_IMAGE = """
layers.ZeroPadding2D(1)(x)
layers.Cropping2D(1)(x)
layers.UpSampling2D(2)(x)
layers.UpSampling2D(2, interpolation='bilinear')(x)
layers.UpSampling2D(2, interpolation='bicubic')(x)
layers.Resizing(12, 5)(x)
layers.Resizing(12, 5, interpolation='nearest')(x)
layers.Resizing(12, 5, interpolation='bicubic')(x)
layers.Resizing(12, 5, antialias=True)(x)
layers.CenterCrop(5, 4)(x)
layers.Reshape((-1, 8))(x)
"""

_FREE_SERIES = """
layers.ZeroPadding1D(2)(x)
layers.Cropping1D(1)(x)
layers.UpSampling1D(2)(x)
layers.Permute((2, 1))(x)
"""

_FREE_VOLUME = """
layers.ZeroPadding3D(1)(x)
layers.Cropping3D(1)(x)
layers.UpSampling3D(2)(x)
"""

_MERGING = """
layers.Add()([x, y])
layers.Subtract()([x, y])
layers.Multiply()([x, y])
layers.Average()([x, y])
layers.Maximum()([x, y])
layers.Minimum()([x, y])
layers.Concatenate()([x, y])
layers.Concatenate(axis=1)([x, y])
layers.Dot(axes=2)([x, y])
layers.Dot(axes=1)([x, y])
layers.Dot(axes=(2, 2), normalize=True)([x, y])
layers.add([x, y])
layers.subtract([x, y])
layers.multiply([x, y])
layers.average([x, y])
layers.maximum([x, y])
layers.minimum([x, y])
layers.concatenate([x, y], axis=1)
layers.dot([x, y], axes=2)
"""

ROWS = (
    *_pooling(1, SERIES, FREE_SERIES),
    *_pooling(2, IMAGE, FREE_IMAGE),
    *_pooling(3, VOLUME, FREE_VOLUME),
    *rows("shapes", _SERIES, x=SERIES),
    *rows("shapes", _IMAGE, x=IMAGE),
    *rows("shapes", _VOLUME, x=VOLUME),
    *rows("shapes", _FREE_SERIES, x=FREE_SERIES),
    *rows("shapes", _FREE_IMAGE, x=FREE_IMAGE),
    *rows("shapes", _FREE_VOLUME, x=FREE_VOLUME),
    *rows("shapes", "layers.RepeatVector(3)(x)", x=VECTOR),
    *rows("merging", _MERGING, x=SERIES, y=SERIES),
    *rows("merging", "layers.Add()([x, y])\nlayers.Multiply()([x, y])", x=IMAGE, y=Given((1, 1, 8))),
)
