"""Which operations of TensorFlow a SavedModel may call here: none that touches files, the network, or Python.

A SavedModel is a program. What may run is told from TensorFlow's own table of operations: those that keep no state
only compute, but for a few; of the others, those that are listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import ExportError
from .protobuf_wire import all_of, last_of, text_of

_STATE = re.compile(
    r"Variable(V2)?|(Assign|AssignAdd|AssignSub|Read)VariableOp|VarHandleOp|VarIsInitializedOp|VariableShape|DisableCopyOnRead|"
    r"DestroyResourceOp|ResourceGather(Nd)?|ResourceScatter\w+|ResourceStridedSliceAssign|"
    r"StatefulPartitionedCall|If|While|Case|Assert|CheckNumerics(V2)?|Empty|GuaranteeConst|DeviceIndex|"
    r"(Anonymous)?(Mutable)?(Dense)?HashTable(V2|OfTensors|OfTensorsV2)?|LookupTable\w+|InitializeTableV2|"
    r"TensorArray\w+|CudnnRNN\w*|Random\w+|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|"
    r"Stateful(StandardNormal(V2)?|TruncatedNormal|Uniform\w*|RandomBinomial)|StatelessRandomGetAlg|Rng\w+Skip|"
    r"NonDeterministicInts|Mutex\w+|ConsumeMutexLock"
)
# These keep no state, and yet read files, start jobs, or send tensors away.
_NOT_PURE = re.compile(
    r"ReadFile|MatchingFiles|\w*Dataset\w*|Debug\w+|Copy(Host)?|PyFunc\w*|GenerateVocabRemapping|"
    r"InitializeTableFromTextFile|Xla\w+|\w*TPU\w*|Decode(Raw|Wav|Csv|Compressed|JSONExample)|Encode\w+"
)


def called_operations(graph: memoryview, objects: memoryview) -> frozenset[str]:
    """The operations in the functions that an object of the graph can call, and in those that these call.

    The functions that save and restore are none of them: they belong to no object, and nothing here calls them.
    """
    return _in_functions(graph, [text_of(entry, 1) for entry in all_of(objects, 2)])


def called_operations_1(graph: memoryview) -> frozenset[str]:
    """The operations of a graph of TensorFlow 1, which has no objects, but for those that only save its weights.

    Those that restore them run as it is loaded, and may do that, and nothing else.
    """
    nodes = {text_of(node, 1): node for node in all_of(last_of(graph, 2, memoryview(b"")), 1)}
    saver = last_of(graph, 3, memoryview(b""))
    saved, restored = (_behind(nodes, [text_of(saver, number)]) for number in (2, 3))
    ends = [text_of(last_of(each, 2, memoryview(b"")), 1) for sig in all_of(graph, 5) for each in _outputs(sig)]
    for collection in all_of(graph, 4):
        if "init" in text_of(collection, 1) or "main_op" in text_of(collection, 1):
            listed = last_of(last_of(collection, 2, memoryview(b"")), 1, memoryview(b""))
            ends += [bytes(name).decode() for name in all_of(listed, 1)]
    called = (nodes.keys() - saved - restored) | _behind(nodes, ends)
    found = {text_of(nodes[name], 2) for name in called}
    found |= {text_of(nodes[name], 2) for name in restored - called} - {"RestoreV2"}
    waiting = [function for name in called | restored for function in _functions_in(nodes[name])]
    return frozenset(found) | _in_functions(graph, waiting)


def _outputs(signature: memoryview) -> list[memoryview]:
    return all_of(last_of(signature, 2, memoryview(b"")), 2)


def _behind(nodes: dict[str, memoryview], ends: list[str]) -> set[str]:
    """The nodes that some tensors or nodes are computed from, these among them."""
    waiting, found = list(ends), set[str]()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            waiting += [bytes(each).decode() for each in all_of(nodes[name], 3)]
    return found


def _in_functions(graph: memoryview, waiting: list[str]) -> frozenset[str]:
    """The operations in some functions, and in those that these call."""
    library = last_of(last_of(graph, 2, memoryview(b"")), 2, memoryview(b""))
    functions = {text_of(last_of(each, 1, memoryview(b"")), 1): all_of(each, 3) for each in all_of(library, 1)}
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name]:
            found.add(text_of(node, 2))
            waiting += _functions_in(node)
    return frozenset(found)


def _functions_in(node: memoryview) -> list[str]:
    """The functions that the attributes of a node name, also those in lists."""
    found = []
    for entry in all_of(node, 5):
        value = last_of(entry, 2, memoryview(b""))
        named = [*all_of(value, 10), *(each for several in all_of(value, 1) for each in all_of(several, 9))]
        found += [text_of(each, 1) for each in named]
    return found


def check_operations(called: Iterable[str]) -> None:
    """Refuse a SavedModel that may do more than compute. Imports TensorFlow.

    Raises:
        ExportError: If it calls an operation that TensorFlow does not have, or that is not allowed.
    """
    from tensorflow.python.framework import op_def_registry

    for name in sorted(called):
        known: Any = op_def_registry.get(name)
        if known is None:
            raise ExportError(f"it calls '{name}', an operation that TensorFlow itself does not have")
        if _NOT_PURE.fullmatch(name) or (known.is_stateful and not _STATE.fullmatch(name)):
            raise ExportError(f"it calls '{name}', which may do more than compute, and is not run from a file")
