"""What the guarded process and its owner send each other: a header as JSON, and arrays as their bytes.

Either side reads only what it can check: no pickled objects, and no array whose size is not what its header says.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

Named = list[tuple[str, np.ndarray]]
_NUMBERS = "biufc"
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 1 << 28


class BrokenFrameError(Exception):
    """The other side has ended, or has sent what no frame looks like."""


def send(stream: IO[bytes], header: dict[str, Any], arrays: Sequence[tuple[str, np.ndarray]] = ()) -> None:
    """Write one frame.

    Raises:
        TypeError: If one of the arrays does not hold numbers.
    """
    for name, array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
            raise TypeError(f"'{name}' is no tensor of numbers")
    described = [(name, array.dtype.str, array.shape) for name, array in arrays]
    head = json.dumps({"header": header, "arrays": described}).encode()
    stream.write(_LENGTH.pack(len(head)) + head)
    for _, array in arrays:
        stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], Named]:
    """Read one frame.

    Raises:
        BrokenFrameError: If the stream ends, or holds something else.
    """
    try:
        (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
        if length > _LONGEST_HEADER:
            raise BrokenFrameError(f"a header of {length} bytes")
        described = json.loads(_exactly(stream, length))
        arrays = [(str(name), _array(stream, np.dtype(kind), shape)) for name, kind, shape in described["arrays"]]
        return dict(described["header"]), arrays
    except (ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise BrokenFrameError(f"no frame: {type(error).__name__}") from error


def _array(stream: IO[bytes], dtype: np.dtype[Any], shape: list[int]) -> np.ndarray:
    if dtype.kind not in _NUMBERS or any(size < 0 for size in shape):
        raise BrokenFrameError(f"an array of {dtype} and shape {shape}")
    size = dtype.itemsize
    for length in shape:
        size *= length
    return np.frombuffer(_exactly(stream, size), dtype).reshape(shape)


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]  # every buffered reader has it
        if not count:
            raise BrokenFrameError("the end")
        done += count
    return buffer
