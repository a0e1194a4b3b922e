"""The keyword arguments that every Keras layer takes, and the error for a name that a layer does not take."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, cast

from keras_norms._types import Config, Regularizer


class LayerArguments(TypedDict, total=False):
    """The arguments of `keras.layers.Layer`, with the two old ones for the shape of the input."""

    name: str | None
    dtype: str | Config | Any
    trainable: bool
    activity_regularizer: Regularizer
    autocast: bool
    input_shape: tuple[int | None, ...]
    input_dim: int


def without(given: Mapping[str, object], *names: str) -> LayerArguments:
    """The given arguments but for `names`, which a config of Keras may carry."""
    return cast(LayerArguments, {name: value for name, value in given.items() if name not in names})


def check_names(layer: type, base: type, given: Mapping[str, object]) -> None:
    """Refuses a name that no class behind `base`, in the order in which Python looks them up, takes as an argument."""
    if given.keys() <= LayerArguments.__annotations__.keys():
        return
    behind = layer.__mro__[layer.__mro__.index(base) + 1 :]
    taken = {*_parameters(behind), *LayerArguments.__annotations__}
    wrong = [name for name in given if name not in taken]
    if not wrong:
        return
    names = list(dict.fromkeys([*_parameters(layer.__mro__), *LayerArguments.__annotations__]))
    near = dict.fromkeys(match for name in wrong for match in difflib.get_close_matches(name, names, n=1))
    meant = f"Did you mean {_quoted(near)}? " if near else ""
    raise TypeError(
        f"{layer.__name__} has no argument {_quoted(wrong)}. "
        f"Received: {', '.join(f'{name}={given[name]!r}' for name in wrong)}. "
        f"{meant}The arguments are: {', '.join(names)}."
    )


def _parameters(classes: Iterable[type]) -> list[str]:
    """The arguments that the constructors of the classes name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    constructors = [vars(cls)["__init__"] for cls in classes if cls is not object and "__init__" in vars(cls)]
    found = [p for init in constructors for p in list(inspect.signature(init).parameters.values())[1:]]
    return [p.name for p in found if p.kind in named]


def _quoted(names: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)
