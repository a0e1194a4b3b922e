"""Which operations of a TFLite file XNNPACK takes: LiteRT is asked, not a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from ....model.layer_names import layer_of
from ....report.delegate_report import XnnpackReport
from ....worker.quiet import quiet_stderr
from ..interpreter import open_interpreter, running_operations
from .node_table import nodes

_FREE_SIZES = (32, 64, 128, 224)


def xnnpack_report(path: Path, layers: Collection[str] | None = None) -> XnnpackReport | None:
    """What XNNPACK runs of a file, `layers` being those of its model; None if the file runs at none of the sizes tried.

    LiteRT lists a delegate as one more operation behind the file's own. An operation belongs to a delegate if it stands
    between the delegate's inputs and outputs; LiteRT's own kernels run all others.
    """
    interpreter = _allocated(path)
    if interpreter is None:
        return None
    listed = running_operations(interpreter)
    own = [op for op in listed if op["op_name"] != "DELEGATE"]
    delegates = [op for op in listed if op["op_name"] == "DELEGATE"]
    taken = _taken(own, delegates)
    left = [k for k in range(len(own)) if k not in taken]
    names = [node.name for node in nodes(path)]
    where = [layer_of(names[k], layers) if k < len(names) and names[k] else "" for k in left]
    return XnnpackReport(
        _counts([own[k]["op_name"] for k in taken]),
        _counts([own[k]["op_name"] for k in left]),
        tuple((own[k]["op_name"], layer) for k, layer in zip(left, where, strict=True)),
        len(delegates),
    )


def _taken(own: list[dict[str, Any]], delegates: list[dict[str, Any]]) -> set[int]:
    """Positions in `own` of what the delegates run: from their outputs back to their inputs."""
    maker = {int(i): k for k, op in enumerate(own) for i in op["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        edge = {int(i) for i in delegate["inputs"]}
        to_visit = [int(i) for i in delegate["outputs"]]
        while to_visit:
            index = to_visit.pop()
            k = maker.get(index)
            if index in edge or k is None or k in taken:
                continue
            taken.add(k)
            to_visit += [int(i) for i in own[k]["inputs"] if i >= 0]
    return taken


def _allocated(path: Path) -> Interpreter | None:
    """LiteRT with its delegate at the first sizes that the file runs at.

    The file states 1 for every free size, at which a strided convolution may leave nothing of an image.
    """
    for size in (1, *_FREE_SIZES):
        with quiet_stderr(), suppress(RuntimeError):
            interpreter = open_interpreter(path, threads=1)
            for detail in interpreter.get_input_details() if size > 1 else ():
                first, *rest = detail["shape_signature"] if len(detail["shape_signature"]) else (None,)
                if first is not None:
                    shape = [abs(int(first)), *(size if n < 0 else int(n) for n in rest)]
                    interpreter.resize_tensor_input(detail["index"], shape)
            interpreter.allocate_tensors()
            return interpreter
    return None


def _counts(kinds: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
