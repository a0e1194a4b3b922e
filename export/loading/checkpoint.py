"""A checkpoint of TensorFlow, `variables.index` and `variables.data-...`, read as data: no graph runs to restore it.

The index is a table of LevelDB: blocks of (key, value) in the order of the keys, an index of the blocks, and a footer
that says where that index is. Each value says in which file, where, and in which type and shape a tensor is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import ExportError
from .crc32c import masked_crc32c
from .protobuf_wire import all_of, last_of, message_of, varint

_MAGIC, _FOOTER = 0xDB4775248B80FB57, 48
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_CHECKSUM = 4  # bytes before a string
_STRING = 7
_NUMBERS: dict[int, Any] = {
    **{1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 9: np.int64, 10: np.bool_},
    **{14: ml_dtypes.bfloat16, 17: np.uint16, 19: np.float16, 22: np.uint32, 23: np.uint64},
}


class Checkpoint:
    """The tensors of a checkpoint by their keys, and the graph of the objects that hold them."""

    def __init__(self, prefix: Path) -> None:
        index = prefix.with_name(prefix.name + ".index")
        if not index.is_file():
            raise ExportError(f"it has no '{index.parent.name}/{index.name}', where its weights are listed")
        self._prefix = prefix
        self._entries = dict(_table(memoryview(index.read_bytes())))
        self._shards = last_of(self._entries.get(b"", memoryview(b"")), 1, 1)

    def object_graph(self) -> memoryview:
        """The message that says which object holds which tensor (TrackableObjectGraph)."""
        kind, _, raw, checksum = self._raw(_GRAPH)
        size, at = varint(raw, 0)
        of_size, text = raw[at : at + _CHECKSUM], raw[at + _CHECKSUM :]
        if kind != _STRING or size != len(text):
            raise ExportError("it is damaged: its checkpoint does not say whose weights are whose")
        _check(checksum, "the list of whose weights are whose", size.to_bytes(4, "little"), of_size, text)
        return text

    def tensor(self, key: str) -> np.ndarray:
        """A tensor, read where it is used.

        Raises:
            ExportError: If there is none of this key, if it is no tensor of numbers, or if it is damaged.
        """
        kind, shape, raw, checksum = self._raw(key)
        if kind not in _NUMBERS:
            raise ExportError(f"its weight '{key}' is of type {kind}, which is none of a layer's weights")
        dtype = np.dtype(_NUMBERS[kind])
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ExportError(f"it is damaged: its weight '{key}' of shape {shape} takes {len(raw)} bytes")
        _check(checksum, f"its weight '{key}'", raw)
        return np.frombuffer(raw, dtype).reshape(shape)

    def _raw(self, key: str) -> tuple[int, tuple[int, ...], memoryview, int]:
        """The type, the shape, the bytes and the checksum of a tensor."""
        entry = self._entries.get(key.encode())
        if entry is None:
            raise ExportError(f"its checkpoint has no '{key}'")
        if all_of(entry, 7):
            raise ExportError(f"its weight '{key}' is kept in slices, for which there is no reader")
        shape = tuple(last_of(size, 1, 0) for size in all_of(message_of(entry, 2), 2))
        shard, at, size = (last_of(entry, number, 0) for number in (3, 4, 5))
        file = self._prefix.with_name(f"{self._prefix.name}.data-{shard:05}-of-{self._shards:05}")
        if not file.is_file() or at + size > file.stat().st_size:
            raise ExportError(f"it is truncated or damaged: '{file.name}' does not hold all of '{key}'")
        data: Any = np.memmap(file, np.uint8, mode="r", offset=at, shape=(size,)) if size else b""
        return last_of(entry, 1, 0), shape, memoryview(data), last_of(entry, 6, 0)


def _check(checksum: int, what: str, *pieces: Any) -> None:
    """Refuse bytes that are not those that were written.

    Raises:
        ExportError: If their checksum is another.
    """
    if masked_crc32c(*pieces) != checksum:
        raise ExportError(f"it is damaged: the checksum of {what} is not that of its bytes")


def _table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Every key and value of a table."""
    footer = data[-_FOOTER:]
    if len(footer) < _FOOTER or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise ExportError("it is truncated or damaged: the list of its weights has no end")
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    for _, value in _block(data, index):
        yield from _block(data, _handle(value, 0)[0])


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Where a block is, and its size."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: memoryview, handle: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
    offset, size = handle
    if size < 4 or offset + size >= len(data):
        raise ExportError("it is truncated or damaged: a part of the list of its weights is missing")
    if data[offset + size] != 0:
        raise ExportError("its list of weights is compressed, for which there is no reader")
    checksum = int.from_bytes(data[offset + size + 1 : offset + size + 5], "little")  # of the block and its kind
    _check(checksum, "the list of its weights", data[offset : offset + size + 1])
    block = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # then places where reading may begin
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        rest, at = varint(block, at)
        length, at = varint(block, at)
        if at + rest + length > end:
            raise ExportError("it is truncated or damaged: a name in the list of its weights has no end")
        key = key[:shared] + bytes(block[at : at + rest])
        yield key, block[at + rest : at + rest + length]
        at += rest + length
