"""Another `call` (or other method) for some layers, for a while: how they are lowered, made exact, or listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def patched_calls(
    layers: Iterable[Any], replacement: Callable[[Any], Callable[..., Any] | None], method: str = "call"
) -> Iterator[list[Any]]:
    """Within the block `layer.call` is `replacement(layer)`, or what it was where that is None.

    Yields the layers whose `call` was replaced. However the block ends, each layer has its earlier `call` again. Blocks
    may nest: the `call` that an inner `replacement` finds and wraps is that of the outer one. `method` names another
    method to replace.
    """
    with ExitStack() as stack:
        changed = []
        for layer in layers:
            call = replacement(layer)
            if call is not None:
                stack.callback(_restore, layer, method, _own(layer, method))
                # Past Keras' attribute tracking: this is no state of the layer.
                object.__setattr__(layer, method, call)
                changed.append(layer)
        yield changed


def _own(layer: Any, method: str) -> dict[str, Any]:
    """The method that a layer has beside that of its class, if any, by its name."""
    own = vars(layer)
    return {method: own[method]} if method in own else {}


def _restore(layer: Any, method: str, before: dict[str, Any]) -> None:
    vars(layer).pop(method, None)
    vars(layer).update(before)
