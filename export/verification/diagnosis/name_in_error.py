"""The layer that a runtime means when it says which operation of a file failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from ...errors import ExportError, VerificationError
from ...model.layer_names import layer_of
from ...model.parts_below import inner_parts, operations_below

_PATH = re.compile(r"[\w.:;-]+(?:/[\w.:;-]+)+")
_SOURCE = re.compile(r"\.(cc|cpp|h|py)\b")  # a file of the runtime's own


@contextmanager
def layer_named(model: keras.Model) -> Iterator[None]:
    """An error of ours that leaves the block names the layer of the operation that its text names by a path."""
    try:
        yield
    except (ExportError, VerificationError) as error:
        layer = _layer_in(str(error), model)
        if layer is None:
            raise
        raise type(error)(f"{error} (in '{layer}')") from error


def _layer_in(text: str, model: keras.Model) -> str | None:
    inner = inner_parts(model)
    known = {op.name: inner.get(id(op), op).name for op in operations_below(model) if not isinstance(op, keras.Model)}
    paths = (path for path in _PATH.findall(text) if not _SOURCE.search(path))
    found = (layer_of(path, known) for path in paths)
    return next((known[name] for name in found if name in known), None)
