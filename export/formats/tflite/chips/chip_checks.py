"""What a file for a chip cannot be: options that do not go together, and operators that TFLite Micro does not run."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ....errors import ExportError
from ....model.layer_names import layer_of
from ....model.spec import Spec
from ....options import TFLiteOptions
from ..delegates.node_table import Node, nodes
from . import micro
from .kernels import KERNELS

NOT_RUN = "TFLite Micro did not run the file, for it is not installed: pip install 'keras-norms[micro]'"
_KIND = re.compile(r"(?:opcode '|Node )([A-Z][A-Z0-9_]+)")
_PLACE = re.compile(r"Node \w+ \(number (\d+)")


def check_chip(options: TFLiteOptions) -> None:
    """Refuse options that a chip has no use for.

    Raises:
        ExportError: If they do not go with `target`.
    """
    target, mode = f"target='{options.target}'", options.quantize
    if options.target == "npu" and mode not in ("int8", "int16x8"):
        raise ExportError(
            f"{target} computes in integers alone, and goes with quantize='int16x8' or 'int8'; quantize is {mode!r}. "
            "Change one of them."
        )
    if mode in ("float16", "dynamic"):
        raise ExportError(
            f"TFLite Micro has no kernels for weights of fewer bits beside float activations, which quantize={mode!r} "
            "makes. Take quantize='int8' or 'int16x8', or None for float32."
        )
    if options.integers and options.io_dtype == "float32":
        raise ExportError(f"{target} makes inputs and outputs of integers, not of io_dtype='float32'. Leave it out.")
    if options.allow_flex:
        raise ExportError(f"{target} is for chips that do not run TensorFlow's operations. Leave allow_flex out.")
    if options.batch_size is None:
        who = "An NPU" if options.target == "npu" else "A microcontroller"
        raise ExportError(f"{who} runs static shapes: give batch_size=1 with {target}.")


def check_sizes(target: str, inputs: Sequence[Spec]) -> None:
    """Refuse inputs of free sizes.

    Raises:
        ExportError: If one has any; it is named.
    """
    for spec in inputs:
        if None in spec.shape:
            raise ExportError(
                f"target='{target}' is for chips that run static shapes; input '{spec.name}' of shape "
                f"{list(spec.shape)} is free in size. Build the model with sizes, as in keras.Input((64, 64, 3))."
            )


def check_micro(path: Path, layers: Collection[str]) -> tuple[str, ...]:
    """A warning if TFLite Micro is not there to be asked.

    Raises:
        ExportError: If it does not run the file, or has no kernel for an operator; the layer is named.
    """
    listed = nodes(path)
    for node in listed:
        if node.op not in KERNELS:
            raise ExportError(_refusal(node, f"it has no kernel for {node.op}", layers))
    if not micro.installed():
        return (NOT_RUN,)
    try:
        micro.arena_bytes(path)
    except micro.RefusedError as refused:
        raise ExportError(_refusal(blamed(str(refused), listed), str(refused), layers)) from refused
    return ()


def blamed(said: str, listed: list[Node]) -> Node | None:
    """The operator that TFLite Micro's words are about."""
    place, kind = _PLACE.search(said), _KIND.search(said)
    if place and int(place[1]) < len(listed):
        return listed[int(place[1])]
    return next((node for node in listed if kind and node.op == kind[1]), None)


def _refusal(node: Node | None, said: str, layers: Collection[str]) -> str:
    layer = layer_of(node.name.split(";")[0], layers) if node else ""
    where = f" layer '{layer}'" if layer in layers else f" {node.op}" if node else " the file"
    helps = "Replace the layer, or leave target out for a file that other runtimes run."
    return f"target='micro' is for TFLite Micro, which does not run{where}: {said.rstrip('.')}. {helps}"
