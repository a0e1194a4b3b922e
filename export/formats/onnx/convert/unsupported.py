"""What has no form in ONNX. tf2onnx only logs which operations it leaves or fails at, so its log is read."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from ....errors import kind_and_reason
from ....model.layer_names import layer_of
from ....worker.client import ConversionError

_LOGGER = "tf2onnx.tfonnx"


class UnconvertibleError(ValueError):
    """Operations without an ONNX form: (name, type) of each, and the reason where one was given."""

    def __init__(self, nodes: list[tuple[str, str]], reason: str) -> None:
        super().__init__(json.dumps({"nodes": nodes, "reason": reason}))


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def naming_failures() -> Iterator[None]:
    """Raise one error that names the operations which the converter logs as not converted within the block.

    Raises:
        UnconvertibleError: If it could not convert an operation.
    """
    handler = _Kept(logging.ERROR)
    records = handler.records
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        if not (nodes := _nodes(records)):
            raise
        raise UnconvertibleError(nodes, kind_and_reason(error)) from error
    finally:
        logger.removeHandler(handler)
    if nodes := _nodes(records):
        raise UnconvertibleError(nodes, "")


def _nodes(records: list[logging.LogRecord]) -> list[tuple[str, str]]:
    """(name, type) of the nodes that failed, or of those that nothing is known for."""
    failed, unknown = [], []
    for record in records:
        args = record.args if isinstance(record.args, tuple) else ()
        if str(record.msg).startswith("Failed to convert node"):
            summary = str(args[2])
            failed.append((str(args[0]), summary.partition("OP=")[2].partition("\n")[0]))
        elif str(record.msg).startswith("Tensorflow op"):
            unknown.append((str(args[0]), str(args[1])))
    return failed or unknown


def explain(failure: ConversionError, layers: Collection[str]) -> str:
    """One sentence for a person on why there is no file, and what to do."""
    if failure.kind != UnconvertibleError.__name__:
        return (
            f"The ONNX converter failed, by a fault of its own: {kind_and_reason(failure, failure.kind)}. "
            "Please report it with the model's config; export to .tflite, or leave layers out to find the one it is."
        )
    told = json.loads(str(failure))
    kinds = sorted({kind for _, kind in told["nodes"] if kind})
    found = list(dict.fromkeys(layer_of(name, layers) for name, _ in told["nodes"]))
    what = f"TensorFlow's {', '.join(kinds)}" if kinds else "what TensorFlow computes"
    reason = f" ({told['reason']})" if told["reason"] else ""
    return (
        f"ONNX has no operation for {what} in {', '.join(map(repr, found))}{reason}. "
        "Write the layer with other operations of keras.ops, or export to .tflite."
    )
