"""A TFLite file as the objects of its schema. What is read off a file more than once is parsed once, if it is small."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from ai_edge_litert.tools import flatbuffer_utils

_MOST_BYTES = 2**20  # more is not kept


def read_file(path: str | os.PathLike[str]) -> Any:
    """The model in a file, to read and not to change: others may get the same object."""
    content = Path(path).read_bytes()
    return _last(content) if len(content) <= _MOST_BYTES else _parsed(content)


@lru_cache(maxsize=1)
def _last(content: bytes) -> Any:
    return _parsed(content)


def _parsed(content: bytes) -> Any:
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))
