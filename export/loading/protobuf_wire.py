"""Protocol buffers read field by field, without their schemas and without TensorFlow, which takes seconds to import.

Every field is a tag, number * 8 + wire type, and a value: a varint (0), 8 bytes (1), a length and as many bytes (2),
or 4 bytes (5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ExportError

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_LONGEST_VARINT = 10


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it.

    Raises:
        ExportError: If the data end within it.
    """
    value = 0
    for number, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * number)
        if not byte & 0x80:
            return value, at + number + 1
    raise ExportError("it is truncated or damaged: a number in it has no end")


def fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message in their order: a number for a varint or fixed bytes, the bytes of everything else.

    Raises:
        ExportError: If the data are no message.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = varint(data, at)
        else:
            size = {_EIGHT: 8, _FOUR: 4}.get(kind, len(data))
        if at + size > len(data):
            raise ExportError("it is truncated or damaged: a field in it is longer than the file")
        part = data[at : at + size]
        yield tag >> 3, part if kind == _BYTES else int.from_bytes(part, "little")
        at += size


def all_of(data: memoryview, number: int) -> list[Any]:
    """The values of a repeated field."""
    return [value for found, value in fields(data) if found == number]


def last_of(data: memoryview, number: int, default: Any = None) -> Any:
    """The number, text or bytes in a field: the last, as protocol buffers read a field that stands there twice."""
    found = all_of(data, number)
    return found[-1] if found else default


def message_of(data: memoryview, number: int) -> memoryview:
    """The message in a field: the parts joined where the field stands there several times, since these are merged.

    Raises:
        ExportError: If a number stands there.
    """
    found = all_of(data, number)
    if any(isinstance(part, int) for part in found):
        raise ExportError("it is damaged: a number stands where a message should")
    return found[0] if len(found) == 1 else memoryview(b"".join(found))


def text_of(data: memoryview, number: int) -> str:
    """The text in a field, or no text.

    Raises:
        ExportError: If it is no text.
    """
    value = last_of(data, number, b"")
    if isinstance(value, int):
        raise ExportError("it is damaged: a number stands where a text should")
    return bytes(value).decode()
