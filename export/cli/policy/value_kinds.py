"""What the value of a key may be: a reader for each kind, with the words in which an error says what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .units import MILLISECONDS, SECONDS, SIZES, positive, quantity

Read = Callable[[object, Path], Any]


@dataclass(frozen=True)
class Key:
    """A key of a table. `read` raises ValueError for a value that is not `allowed`.

    `suffix` is that of the only format that has the key; `place` says that it stands in an override, or nowhere there.
    """

    read: Read
    allowed: str
    suffix: str | None = None
    place: Literal["anywhere", "override", "base"] = "anywhere"


def text() -> tuple[Read, str]:
    return _text, "a text that is not empty"


def texts() -> tuple[Read, str]:
    return _texts, "a list of texts"


def globs() -> tuple[Read, str]:
    return _globs, "a list of paths relative to the policy, with * and ** as wildcards"


def glob() -> tuple[Read, str]:
    return lambda value, folder: _globs([value], folder)[0], "a path relative to the policy, with * and ** as wildcards"


def switch() -> tuple[Read, str]:
    return _switch, "true or false"


def choice(*names: str) -> tuple[Read, str]:
    def read(value: object, _folder: Path) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return read, f"one of {', '.join(names)}"


def count() -> tuple[Read, str]:
    return _count, "a whole number from 1"


def share() -> tuple[Read, str]:
    return _share, "a number between 0 and 1"


def number() -> tuple[Read, str]:
    return lambda value, _: positive(value), "a number above 0"


def size() -> tuple[Read, str]:
    return _size, f'a number of bytes, or a text with one of the units {", ".join(SIZES)}, as in "1.5 MB"'


def latency() -> tuple[Read, str]:
    units = ", ".join(MILLISECONDS)
    return lambda value, _: quantity(value, MILLISECONDS), f'a text with one of the units {units}, as in "5 ms"'


def duration() -> tuple[Read, str]:
    units = ", ".join(SECONDS)
    return lambda value, _: quantity(value, SECONDS), f'a text with one of the units {units}, as in "15 min"'


def file(*suffixes: str) -> tuple[Read, str]:
    named = f" that ends in {' or '.join(suffixes)}" if suffixes else ""

    def read(value: object, folder: Path) -> str:
        path = folder / _text(value, folder)
        if suffixes and path.suffix not in suffixes:
            raise ValueError
        if not path.is_file():
            raise FileNotFoundError(path)
        return str(path)

    return read, f"the path of a file{named}, relative to the policy"


def _text(value: object, _folder: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _texts(value: object, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(each, folder) for each in value)


def _globs(value: object, folder: Path) -> tuple[str, ...]:
    found = _texts(value, folder)
    if not found or any(Path(each).is_absolute() or each.startswith("~") for each in found):
        raise ValueError
    return found


def _switch(value: object, _folder: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _count(value: object, _folder: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _share(value: object, _folder: Path) -> float:
    if not positive(value) < 1:
        raise ValueError
    return positive(value)


def _size(value: object, _folder: Path) -> int:
    return int(quantity(value, SIZES) if isinstance(value, str) else _count(value, _folder))
