"""Tensors of images, rows and volumes with their channels last, and back as they were given."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

FIRST, LAST = "channels_first", "channels_last"


def is_first(data_format: str | None) -> bool:
    return (data_format or keras.config.image_data_format()) == FIRST


def channels_last(x: Any, data_format: str | None) -> Any:
    return ops.moveaxis(x, 1, -1) if is_first(data_format) else x


def as_given(x: Any, data_format: str | None) -> Any:
    return ops.moveaxis(x, -1, 1) if is_first(data_format) else x


def each(size: Any, rank: int) -> tuple[int, ...]:
    return (size,) * rank if isinstance(size, int) else tuple(size)
