"""Real input without a download: the 1,797 scanned digits that ship inside scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Digits(NamedTuple):
    """Images of 8x8 pixels in [0, 1], shape (n, 8, 8, 1), and the digits they show."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load(test_size: int = 450) -> Digits:
    """Split the digits once and for all, each digit in the same share on both sides.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998 (its test part).
    """
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    labels = digits.target.astype("int32")
    parts = train_test_split(images, labels, test_size=test_size, stratify=labels, random_state=0)
    return Digits(train_images=parts[0], test_images=parts[1], train_labels=parts[2], test_labels=parts[3])
