"""Why the TFLite converter made no file, and what stays in float in one that it made, in sentences for a person."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ....errors import kind_and_reason
from ....model.layer_names import layer_of, layers_in
from ....worker.client import ConversionError
from ..flex_runner import flex_ops


def explain(failure: ConversionError, known: Collection[str], fixed_batch: bool = False) -> str:
    """`known` are the names of the layers; `fixed_batch`: whether the inputs of the model have one."""
    if failure.kind == "NoIntegerFormError":
        return _no_integers(str(failure), known)
    flex = re.findall(r"(?:TF Select|Flex|Custom) ops?: ([\w, ]+)", f"{failure}\n{failure.printed}")
    if flex:
        names = sorted({name.strip() for group in flex for name in group.split(",") if name.strip()})
        nodes = sorted(set(re.findall(rf'"(?:{"|".join(map(re.escape, names))}):", "([^"@]+)@', str(failure))))
        layers = _layers_of(nodes, known)
        where = f" (in {', '.join(layers)})" if layers else " (called outside of layers)" if nodes else ""
        return (
            f"TFLite has no builtin operation for {', '.join(names)}{where}, and LiteRT's interpreters ship without "
            "TensorFlow's own kernels. Replace the layer that uses it, export to .onnx, or pass "
            "allow_flex=True if your app links the Flex delegate."
        )
    if "TensorListReserve" in str(failure):
        paths = re.findall(r'"[\w.-]+/([\w/.-]+)/TensorArray', str(failure))
        recurrent = list(dict.fromkeys(filter(None, (_layers_in(path, known) for path in paths))))
        remedy = "Pass batch_size=1, or the batch size you will run."
        if fixed_batch:
            remedy = "Theirs depends on a free size of an input, such as the steps of TimeDistributed: fix that size."
        named = ", ".join(recurrent) or "one is in the model"
        return f"TFLite needs a fixed batch for a loop that keeps all of its results ({named}). {remedy}"
    return _fault(failure, known)


def _no_integers(said: str, known: Collection[str]) -> str:
    """What `quantize/integers` says: a line for each operator, its kind and the name of its output."""
    operators = [line.split(" ", 1) for line in said.splitlines() if " " in line]
    layers = {kind: layer_of(name.split(";")[0], known) for kind, name in reversed(operators)}
    named = ", ".join(f"{kind} (in '{layer}')" if layer in known else kind for kind, layer in sorted(layers.items()))
    return (
        f"A file for a chip computes in integers alone, and has no such form of {named}. Leave target out, which keeps "
        "what has none in float, or replace the layer."
    )


def _fault(failure: ConversionError, known: Collection[str]) -> str:
    """A fault of the converter: the layer, and what its verifier says of the operation."""
    said = re.search(r"'\w+\.\w+' op [^\n]*", str(failure))
    reason = said[0] if said else kind_and_reason(failure, failure.kind)
    nodes = re.findall(r'"([^"@]+)@__inference_serve', str(failure))
    layers = _layers_of(nodes, known)
    remedy = (
        "Write the layer with other operations of keras.ops" if layers else "Leave layers out to find the one it is"
    )
    where = f" at {', '.join(map(repr, layers))}" if layers else ""
    what = f"The TFLite converter failed{where}, by a fault of its own: {reason.rstrip('.')}"
    return f"{what}. {remedy}, or export to .onnx."


def _layers_of(nodes: Iterable[str], known: Collection[str]) -> list[str]:
    """The layers that operations come from, each once. An operation that the model calls itself comes from none."""
    return list(dict.fromkeys(name for name in (layer_of(node, known) for node in nodes) if name in known))


def _layers_in(path: str, known: Collection[str]) -> str:
    """The layers among the scopes of an operation, from the outermost to the innermost."""
    scopes = (layer_of(scope, known) for scope in path.split("/"))
    return "/".join(scope for scope in scopes if scope in known)


def narrow_note(stayed: Mapping[str, Sequence[str]], known: Collection[str]) -> tuple[str, ...]:
    """What a file of 16 bits computes in 8."""
    layers = dict.fromkeys(layer_of(name.split(";")[0], known) for name in stayed.get("in 8 bits", ()))
    named = ", ".join(f"'{layer}'" for layer in layers)
    return (f"in 8 bits, which is all that NPUs have there, compute parts of {named}",) if layers else ()


def float_note(stayed: Mapping[str, Sequence[str]], known: Collection[str] = ()) -> tuple[str, ...]:
    """What an 8-bit or 16-bit file computes in float, and why; tracing has appended numbers to the names of layers."""
    norms, layers, masked = (
        [layers_in(name, known) or name for name in stayed.get(kind, [])] for kind in ("norms", "layers", "masked")
    )
    reasons = []
    if norms:
        count = f"{len(norms)} norm{'s' if len(norms) > 1 else ''}"
        reasons.append(
            f"{count}, whose statistics differ too much between groups for one scale of 8 bits (target="
            "'npu' has them in integers of 16, for chips without floats)"
        )
    if layers:
        reasons.append(f"{', '.join(layers)}, which lose most of all layers to rounding (measured)")
    if masked:
        reasons.append(f"the softmax of {', '.join(masked)}, whose masked scores would take the steps of the others")
    return (f"in float stay {'; '.join(reasons)}",) if reasons else ()


def flex_warning(path: Path) -> tuple[str, ...]:
    found = flex_ops(path)
    if not found:
        return ()
    return (
        f"it needs TensorFlow's own kernels for {', '.join(found)}: LiteRT's interpreters do not run it without the "
        "Flex delegate, which an app has to link. It was verified with LiteRT's kernels and TensorFlow's, step by step",
    )
