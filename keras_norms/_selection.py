"""Which norms of a model a function is to work on: by name, by pattern, by a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from keras_norms._norms import Norm

Where: TypeAlias = str | Sequence[str] | Callable[[Any], bool] | None


def selected(norms: Sequence[Norm], where: Where) -> list[Norm]:
    """The norms that `where` names: all, those of a name or pattern such as "block1/*", or those it says True to.

    A pattern is compared with the name of a norm in the model ("inner/norm") and with that of the layer ("norm").

    Raises:
        TypeError: If `where` is none of these.
        ValueError: If a name or pattern names no norm.
    """
    if where is None:
        return list(norms)
    if callable(where):
        return [norm for norm in norms if where(norm.layer)]
    patterns = [where] if isinstance(where, str) else list(where)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            "`where` has to be a name, a pattern, a list of them or a function of a layer. "
            f"Received: where={where!r}. Use for example where='block1/*'."
        )
    for pattern in patterns:
        if not any(_matches(norm, pattern) for norm in norms):
            names = ", ".join(norm.name for norm in norms) or "none"
            raise ValueError(f"`where` has to name norms of the model. Received: {pattern!r}. Its norms are: {names}.")
    return [norm for norm in norms if any(_matches(norm, pattern) for pattern in patterns)]


def _matches(norm: Norm, pattern: str) -> bool:
    return fnmatchcase(norm.name, pattern) or fnmatchcase(norm.layer.name, pattern)
