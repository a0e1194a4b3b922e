"""LiteRT's interpreter, opened in one place: silent, and with the delegates, threads and memory that a caller needs."""

from __future__ import annotations

import os
import warnings
from typing import Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ...worker.quiet import quiet_stderr


def open_interpreter(
    model: bytes | str | os.PathLike[str], *, delegates: bool = True, threads: int | None = None, preserve: bool = False
) -> Interpreter:
    """An interpreter for a file, or for the content of one; its tensors are not allocated yet.

    Args:
        model: the path of a `.tflite` file, or its bytes.
        delegates: let XNNPACK take what it can, as LiteRT does by default; LiteRT's own kernels alone if False.
        threads: how many; LiteRT's default if None.
        preserve: keep the result of every operation, so that it can be read after a run.

    Raises:
        ValueError or RuntimeError: If LiteRT cannot read the file.
    """
    resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")  # that preserving all tensors is meant for debugging
        return Interpreter(
            **source,
            num_threads=threads,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=preserve,
        )


def running_operations(interpreter: Interpreter) -> list[dict[str, Any]]:
    """Kind (`op_name`), inputs and outputs of what runs, delegates among them; LiteRT has no public way to ask."""
    found: list[dict[str, Any]] = interpreter._get_ops_details()
    return found
