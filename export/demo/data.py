"""Real images without a download: the 1,797 scanned digits that are part of scikit-learn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Array = npt.NDArray[Any]


class Digits(NamedTuple):
    """Images of 8x8 pixels in [0, 1], shape (n, 8, 8, 1), and the digits they show."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


def load(test_size: int = 450) -> Digits:
    """Load the digits in a fixed split, in which each digit has the same share of both parts.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998 (its test part).
    """
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    labels = digits.target.astype("int32")
    parts = train_test_split(images, labels, test_size=test_size, stratify=labels, random_state=0)
    return Digits(train_images=parts[0], test_images=parts[1], train_labels=parts[2], test_labels=parts[3])
