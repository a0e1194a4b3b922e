"""On which line of a TOML file each key stands: Python's reader does not tell.

A file that is valid is a row of statements, each of which is a valid file by itself: a header, or a key with its value.
So the lines are joined until they parse, and what they parse to names the key.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str | int, ...]


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of every table and key of a valid file, by its path; a table of an array has its number in the path."""
    found: dict[KeyPath, int] = {}
    counts: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    for line, statement in _statements(text):
        parsed: dict[str, Any] = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, counts, is_array=statement.lstrip().startswith("[["))
            found.setdefault(table, line)
        else:
            for path in _paths(parsed):
                found.setdefault(table + path, line)
    return found


def _statements(text: str) -> list[tuple[int, str]]:
    """(line, text) of each statement."""
    found: list[tuple[int, str]] = []
    begun: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun.append(line)
        try:
            tomllib.loads("\n".join(begun))
        except tomllib.TOMLDecodeError:
            continue
        found.append((number - len(begun) + 1, "\n".join(begun)))
        begun = []
    return found


def _header(parsed: dict[str, Any], counts: Counter[KeyPath], *, is_array: bool) -> KeyPath:
    path: KeyPath = ()
    while parsed:
        ((key, value),) = parsed.items()
        path += (key,)
        is_last = value in ({}, [{}])
        if is_last and is_array:
            counts[path] += 1
        if counts[path]:
            path += (counts[path] - 1,)
        parsed = {} if is_last else value
    return path


def _paths(parsed: dict[str, Any]) -> list[KeyPath]:
    found: list[KeyPath] = []
    for key, value in parsed.items():
        found.append((key,))
        if isinstance(value, dict):
            found += [(key, *below) for below in _paths(value)]
    return found
