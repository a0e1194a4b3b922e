"""Read a policy file, and refuse whatever in it has no meaning: a policy that is not followed protects nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .keys import ALLOW, EXPORT, NORMS, OVERRIDE_TABLES, READING, TABLES, TOP
from .policy import FILE_NAME, Allowance, Policy, Settings
from .policy_error import PolicyError
from .toml_lines import KeyPath, key_lines
from .value_kinds import Key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_policy(path: Path) -> Policy:
    """The policy in the file at `path`.

    Raises:
        PolicyError: If there is none, if it is no TOML, or if a table, a key or a value in it is none that is allowed.
    """
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"'{path}' is no valid TOML: {error}.") from error
    empty = Policy(path, (), (), Settings(), {}, (), key_lines(text))
    return _Reader(empty).policy(data)


def _text(path: Path) -> str:
    if not path.is_file():
        raise PolicyError(f"There is no policy '{path}'. Write one named {FILE_NAME}, or name it with --policy FILE.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"The policy '{path}' cannot be read as text in UTF-8: {error}.") from error


class _Reader:
    """`at` is the policy without its values, which knows where each key stands."""

    def __init__(self, at: Policy) -> None:
        self._at = at

    def policy(self, data: Mapping[str, Any]) -> Policy:
        top = self._values((), data, TOP, TABLES)
        models, exclude = top.pop("models", ()), top.pop("exclude", ())
        settings = self._settings((), data, top)
        overrides = self._table((), data, "override")
        found = {pattern: self._override(pattern, table) for pattern, table in overrides.items()}
        allowances = data.get("allow", [])
        if not isinstance(allowances, list):
            raise self._at.error(("allow",), None, "must be a list of tables: write [[allow]].")
        read = tuple(self._allowance(number, table) for number, table in enumerate(allowances))
        if not settings.exports and not settings.norms and not found:
            raise self._at.error((), None, "asks for nothing: add a table [exports.NAME], or [norms].")
        return replace(self._at, models=models, exclude=exclude, settings=settings, overrides=found, allowances=read)

    def _override(self, pattern: str, table: object) -> Settings:
        where = ("override", pattern)
        table = self._is_table(where, table)
        if Path(pattern).is_absolute() or not pattern:
            raise self._at.error(where, None, "must be named by a path relative to the policy, or a pattern of paths.")
        return self._settings(where, table, self._values(where, table, READING, OVERRIDE_TABLES))

    def _settings(self, where: KeyPath, data: Mapping[str, Any], reading: Mapping[str, Any]) -> Settings:
        exports = {}
        for name, table in self._table(where, data, "exports").items():
            place = (*where, "exports", name)
            exports[name] = self._values(place, self._is_table(place, table), EXPORT, ())
            for key in exports[name]:
                if EXPORT[key].place == ("base" if where else "override"):
                    there = "the table of the same name outside of the override" if where else "an override"
                    raise self._at.error(place, key, f"has no meaning here: it goes into {there}.")
        return Settings(where, reading, self._norms(where, self._table(where, data, "norms")), exports)

    def _norms(self, where: KeyPath, table: Mapping[str, Any]) -> dict[str, Any]:
        place = (*where, "norms")
        found = self._values(place, table, NORMS, ("may-stay",))
        if "may-stay" in table:
            stay = self._table(place, table, "may-stay")
            for layer, reason in stay.items():
                if not isinstance(reason, str) or not reason.strip():
                    told = "must be a text that says why this norm may stay"
                    raise self._at.error((*place, "may-stay"), layer, f"{told}; got {reason!r}.")
            found["may-stay"] = dict(stay)
        return found

    def _allowance(self, number: int, table: object) -> Allowance:
        where = ("allow", number)
        found = self._values(where, self._is_table(where, table), ALLOW, ())
        if "reason" not in found:
            raise self._at.error(where, None, "needs a reason: why the refusal is right, for whoever reads it later.")
        if not {"refusal", "layer"} & set(found):
            raise self._at.error(where, None, "needs refusal, a piece of the error's text, or layer, which it names.")
        return Allowance(
            number,
            found.get("model"),
            found.get("export", "*"),
            found.get("refusal"),
            found.get("layer"),
            found["reason"],
        )

    def _values(
        self, where: KeyPath, table: Mapping[str, Any], keys: Mapping[str, Key], tables: Iterable[str]
    ) -> dict[str, Any]:
        """The values of the keys of one table, each read; `tables` are those that may stand in it."""
        found: dict[str, Any] = {}
        for name, value in table.items():
            if name in tables:
                continue
            if name not in keys:
                raise self._at.unknown(where, name, [*keys, *tables])
            found[name] = self._value(where, name, value, keys[name])
        return found

    def _value(self, where: KeyPath, name: str, value: object, key: Key) -> Any:
        try:
            return key.read(value, self._at.folder)
        except FileNotFoundError as error:
            raise self._at.error(where, name, f"names a file that is not there: '{error}'.") from error
        except (ValueError, OverflowError) as error:
            raise self._at.error(where, name, f"must be {key.allowed}; got {_shown(value)}.") from error

    def _table(self, where: KeyPath, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        return self._is_table((*where, name), data.get(name, {}))

    def _is_table(self, where: KeyPath, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._at.error(where, None, f"must be a table; got {_shown(value)}.")
        return value


def _shown(value: object) -> str:
    """A value as TOML writes it, or nearly so."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else "a table" if isinstance(value, dict) else repr(value)
