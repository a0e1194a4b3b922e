"""Which operations of TensorFlow a SavedModel may call here: none that touches files, the network, or Python.

A SavedModel is a program. What may run is told from TensorFlow's own table of operations: those that keep no state
only compute, but for a few; of the others, those that are listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ExportError
from .protobuf_wire import all_of, message_of, text_of

_STATE = re.compile(
    r"Variable(V2)?|(Assign|AssignAdd|AssignSub|Read)VariableOp|VarHandleOp|VarIsInitializedOp|VariableShape|DisableCopyOnRead|"
    r"DestroyResourceOp|ResourceGather(Nd)?|ResourceScatter\w+|ResourceStridedSliceAssign|"
    r"StatefulPartitionedCall|If|While|Case|Assert|CheckNumerics(V2)?|Empty|GuaranteeConst|DeviceIndex|"
    r"(Anonymous)?(Mutable)?(Dense)?HashTable(V2|OfTensors|OfTensorsV2)?|LookupTable\w+|InitializeTableV2|"
    r"TensorArray\w+|CudnnRNN\w*|Random\w+|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|"
    r"Stateful(StandardNormal(V2)?|TruncatedNormal|Uniform\w*|RandomBinomial)|StatelessRandomGetAlg|Rng\w+Skip|"
    r"NonDeterministicInts|Mutex\w+|ConsumeMutexLock"
)
_SAME = "api_implements"  # the attribute of functions that TensorFlow takes for each other
# These keep no state, and yet read files, start jobs, or send tensors away.
_NOT_PURE = re.compile(
    r"ReadFile|MatchingFiles|\w*Dataset\w*|Debug\w+|Copy(Host)?|PyFunc\w*|GenerateVocabRemapping|"
    r"InitializeTableFromTextFile|Xla\w+|\w*TPU\w*|Decode(Raw|Wav|Csv|Compressed|JSONExample)|Encode\w+"
)


@dataclass(frozen=True)
class Called:
    """What a SavedModel calls of TensorFlow, and the names of all functions that it holds itself."""

    operations: frozenset[str]
    functions: frozenset[str]


def called_operations(graph: memoryview, objects: memoryview) -> Called:
    """The operations in the functions that an object of the graph can call, and in those that these call.

    The functions that save and restore are none of them: they belong to no object, and nothing here calls them.
    """
    return _in_functions(graph, [text_of(entry, 1) for entry in all_of(objects, 2)])


def called_operations_1(graph: memoryview) -> Called:
    """The operations of a graph of TensorFlow 1, which has no objects, but for those that only save its weights.

    Those that restore them run as it is loaded, and may do that, and nothing else.
    """
    nodes = _by_name((text_of(node, 1), node) for node in all_of(message_of(graph, 2), 1))
    saver = message_of(graph, 3)
    saved, restored = (_behind(nodes, [text_of(saver, number)]) for number in (2, 3))
    ends = [name for signature in all_of(graph, 5) for name in _tensors_of(signature)]
    for collection in all_of(graph, 4):
        if "init" in text_of(collection, 1) or "main_op" in text_of(collection, 1):
            listed = message_of(message_of(collection, 2), 1)
            ends += [bytes(name).decode() for name in all_of(listed, 1)]
    called = (nodes.keys() - saved - restored) | _behind(nodes, ends)
    found = {text_of(nodes[name], 2) for name in called}
    found |= {text_of(nodes[name], 2) for name in restored - called} - {"RestoreV2"}
    waiting = [function for name in called | restored for function in _functions_in(nodes[name])]
    return _in_functions(graph, [*waiting, *found], found)


def _by_name(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(named)
    found = dict(listed)
    if len(found) < len(listed):
        raise ExportError("it is damaged: two of its nodes or functions have one name")
    return found


def _tensors_of(signature: memoryview) -> Iterator[str]:
    """The names of the tensors that go into a signature and come out of it."""
    content = message_of(signature, 2)
    for entry in (*all_of(content, 1), *all_of(content, 2)):
        tensor = message_of(entry, 2)
        if all_of(tensor, 4) or all_of(tensor, 5):
            raise ExportError(
                f"its signature '{text_of(signature, 1)}' has '{text_of(entry, 1)}', which is made of several tensors, "
                "and what it computes is not followed"
            )
        yield text_of(tensor, 1)


def _behind(nodes: dict[str, memoryview], ends: list[str]) -> set[str]:
    """The nodes that some tensors or nodes are computed from, these among them."""
    waiting, found = list(ends), set[str]()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            waiting += [bytes(each).decode() for each in all_of(nodes[name], 3)]
    return found


def _in_functions(graph: memoryview, waiting: list[str], operations: Iterable[str] = ()) -> Called:
    """Some operations, and those in some functions and in those that these call, by attributes or as operations."""
    library = message_of(message_of(graph, 2), 2)
    functions = _by_name((text_of(message_of(each, 1), 1), each) for each in all_of(library, 1))
    # TensorFlow itself puts these in the place of others: gradients, and those that say they compute the same.
    waiting = waiting + [text_of(each, 2) for each in all_of(library, 2)]
    waiting += [name for name, each in functions.items() if any(text_of(a, 1) == _SAME for a in all_of(each, 5))]
    seen: set[str] = set()
    found = set(operations)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in all_of(functions[name], 3):
            operation = text_of(node, 2)
            found.add(operation)
            waiting += [operation, *_functions_in(node)]
    return Called(frozenset(found - functions.keys()), frozenset(functions))


def _functions_in(node: memoryview, attributes: int = 5) -> list[str]:
    """The functions that the attributes of a node name, also those in lists, and in the attributes of these."""
    found = []
    for entry in all_of(node, attributes):
        value = message_of(entry, 2)
        for function in (*all_of(value, 10), *(each for several in all_of(value, 1) for each in all_of(several, 9))):
            found += [text_of(function, 1), *_functions_in(function, 2)]
    return found


def check_operations(operations: Iterable[str], functions: Iterable[str] = ()) -> None:
    """Refuse a SavedModel that may do more than compute. Imports TensorFlow.

    Raises:
        ExportError: If it calls an operation that TensorFlow does not have, or that is not allowed, or if one of its
            functions has the name of an operation, and would be called in its place.
    """
    from tensorflow.python.framework import op_def_registry

    for name in sorted(functions):
        if op_def_registry.get(name) is not None:
            raise ExportError(f"it has a function of its own that is called '{name}' like an operation of TensorFlow")
    for name in sorted(operations):
        known: Any = op_def_registry.get(name)
        if known is None:
            raise ExportError(f"it calls '{name}', an operation that TensorFlow itself does not have")
        if _NOT_PURE.fullmatch(name) or (known.is_stateful and not _STATE.fullmatch(name)):
            raise ExportError(f"it calls '{name}', which may do more than compute, and is not run from a file")
