"""From the name of an operation in an artifact to the Keras layer that it comes from."""

from __future__ import annotations

import re
from collections.abc import Collection

from .lowerings import SCOPE

_TRACED_AGAIN = re.compile(r"_\d+$")


def layer_of(name: str, layers: Collection[str] | None = None) -> str:
    """The layer in a name such as `net_1/relu_1/Relu;net_1/norm_0_1/keras_norm/mul`; of merged ones, the first to run.

    Tracing appends numbers to names; `layers`, the names in the model, tell which numbers belong to them.
    """
    part = name.split(";")[-1] or name.split(";")[0]
    scopes = [scope for scope in part.split("/") if scope != SCOPE]
    if layers is None:
        return _TRACED_AGAIN.sub("", scopes[-2]) if len(scopes) > 1 else part
    for scope in reversed(scopes):
        for candidate in (scope, _TRACED_AGAIN.sub("", scope)):
            if candidate in layers:
                return candidate
    return scopes[-2] if len(scopes) > 1 else part
