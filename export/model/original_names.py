"""What the layers of a loaded model were called in its file, where Keras 3 takes no such name: 'conv1/bn'.

Inputs and outputs of what is exported have these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import keras

_NAMES: WeakKeyDictionary[keras.Model, dict[str, str]] = WeakKeyDictionary()


def remember_original_names(model: keras.Model, names: Mapping[str, str]) -> None:
    """Keep the names in the file by those of the layers, for as long as the model lives."""
    if names:
        _NAMES[model] = dict(names)


def original_names(model: keras.Model) -> Mapping[str, str]:
    """The names in the file by those of the layers, of the layers that were renamed."""
    return _NAMES.get(model, {})
