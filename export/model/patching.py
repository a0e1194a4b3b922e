"""Another `call` for some layers, for a while: how they are lowered, made exact, or listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def patched_calls(
    layers: Iterable[Any], replacement: Callable[[Any], Callable[..., Any] | None]
) -> Iterator[list[Any]]:
    """Within the block `layer.call` is `replacement(layer)`, or what it was where that is None.

    Yields the layers whose `call` was replaced. However the block ends, each layer has its earlier `call` again. Blocks
    may nest: the `call` that an inner `replacement` finds and wraps is that of the outer one.
    """
    with ExitStack() as stack:
        changed = []
        for layer in layers:
            call = replacement(layer)
            if call is not None:
                stack.callback(_restore, layer, dict(_own_call(layer)))
                # Past Keras' attribute tracking: this is no state of the layer.
                object.__setattr__(layer, "call", call)
                changed.append(layer)
        yield changed


def _own_call(layer: Any) -> dict[str, Any]:
    """The `call` that a layer has beside that of its class, if any, by its name."""
    return {name: value for name, value in vars(layer).items() if name == "call"}


def _restore(layer: Any, before: dict[str, Any]) -> None:
    vars(layer).pop("call", None)
    vars(layer).update(before)
