"""Which Keras layer an operation of an artifact comes from, read off its name; and names made unique."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import count

# Marks the operations of a norm in the names of the graph, where quantization finds what has to stay in float.
NORM_SCOPE = "keras_norm"
_TRACED_AGAIN = re.compile(r"_\d+$")


def layer_of(name: str, layers: Collection[str] | None = None) -> str:
    """The layer in a name such as `net_1/relu_1/Relu;net_1/norm_0_1/keras_norm/mul`; of merged ones, the first to run.

    Tracing appends numbers to names; `layers`, the names in the model, tell which numbers belong to them.
    """
    part = name.split(";")[-1] or name.split(";")[0]
    scopes = [scope for scope in part.split("/") if scope != NORM_SCOPE]
    if layers is None:
        return _TRACED_AGAIN.sub("", scopes[-2]) if len(scopes) > 1 else part
    for scope in reversed(scopes):
        for candidate in (scope, _TRACED_AGAIN.sub("", scope)):
            if candidate in layers:
                return candidate
    return scopes[-2] if len(scopes) > 1 else part


def scope_of_result(name: str, layers: Collection[str]) -> tuple[str, str] | None:
    """The layer whose result a tensor is by its name, and the part of the name that one trace of that layer shares.

    Of merged operations it is the last to run. Tracing appends a number to every layer's name, so `conv2d_1` is the
    trace of `conv2d` where there is one, though another layer may be called `conv2d_1`.
    """
    scopes = name.split(";")[0].split("/")
    for i in reversed(range(len(scopes) - 1)):
        for candidate in (_TRACED_AGAIN.sub("", scopes[i]), scopes[i]):
            if candidate in layers:
                return candidate, "/".join(scopes[: i + 1])
    return None


def layers_in(name: str, layers: Collection[str]) -> str:
    """The layers among the scopes of a name, from the outermost to the innermost, as in `attention/query`; "" for none.

    Of merged operations those of the first to run.
    """
    part = name.split(";")[-1] or name.split(";")[0]
    scopes = [next((c for c in (_TRACED_AGAIN.sub("", s), s) if c in layers), "") for s in part.split("/")]
    return "/".join(dict.fromkeys(filter(None, scopes)))


def layer_of_result(name: str, layers: Collection[str]) -> str:
    """The layer whose result a tensor is by its name, or what comes nearest to one in it."""
    found = scope_of_result(name, layers)
    return layer_of(name, layers) if found is None else found[0]


def names_apart(names: Iterable[str], taken: Collection[str]) -> tuple[str, ...]:
    """The names, with `_1`, `_2`, ... behind those that are `taken` or came before."""
    given = list(names)
    result: list[str] = []
    for name in given:
        free = (f"{name}_{i}" for i in count(1))
        twice = name in result or name in taken
        result.append(next(new for new in free if new not in (*given, *result, *taken)) if twice else name)
    return tuple(result)
