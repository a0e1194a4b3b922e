"""LiteRT's interpreter, opened in one place: silent, and with the delegates, threads and memory that a caller needs."""

from __future__ import annotations

import os
import warnings
from typing import Any, Literal

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ...worker.quiet import quiet_stderr

Kernels = Literal["xnnpack", "builtin", "reference"]
_RESOLVERS = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}


def open_interpreter(
    model: bytes | str | os.PathLike[str],
    *,
    kernels: Kernels = "xnnpack",
    threads: int | None = None,
    preserve: bool = False,
) -> Interpreter:
    """An interpreter for a file, or for the content of one; its tensors are not allocated yet.

    Args:
        model: the path of a `.tflite` file, or its bytes.
        kernels: "xnnpack" lets XNNPACK take what it can, as LiteRT does by default; "builtin" are LiteRT's own;
            "reference" are written to be read, and nobody ships them.
        threads: how many; LiteRT's default if None.
        preserve: keep the result of every operation, so that it can be read after a run.

    Raises:
        ValueError or RuntimeError: If LiteRT cannot read the file.
    """
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")  # that preserving all tensors is meant for debugging
        return Interpreter(
            **source,
            num_threads=threads,
            experimental_op_resolver_type=_RESOLVERS[kernels],
            experimental_preserve_all_tensors=preserve,
        )


def running_operations(interpreter: Interpreter) -> list[dict[str, Any]]:
    """Kind (`op_name`), inputs and outputs of what runs, delegates among them; LiteRT has no public way to ask."""
    found: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001
    return found
