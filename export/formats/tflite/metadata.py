"""Entries about a model in a TFLite file: as JSON for this package, and as TFLite Metadata for other readers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ...artifact.metadata_keys import MODEL, NAME, labels_of
from . import standard_metadata as standard
from .read_file import read_file

_ENTRY = b"keras_norms"
_DIGITS = 12  # of the hash, enough to tell the versions of a model apart


def write_metadata(path: Path, entries: dict[str, str]) -> None:
    """Put `entries` into the file instead of those that it has, and append a text file of labels for each output."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    inputs, outputs = _interface(model)
    labels = labels_of(entries, outputs)
    files = standard.file_names(list(labels), outputs)
    description = f"{entries[NAME]}, exported by keras-norms"
    version = f"sha256:{entries[MODEL][:_DIGITS]}"
    about = standard.About(entries[NAME], description, version, inputs, outputs)
    model.description = description.encode()
    model.metadata = list(model.metadata or [])
    _put(model, _ENTRY, json.dumps(entries, sort_keys=True, ensure_ascii=False).encode())
    _put(model, standard.ENTRY, standard.standard_metadata(about, files))
    flatbuffer_utils.write_model(model, os.fspath(path))  # drops the text files that were appended before
    standard.append_files(path, {files[output]: "\n".join(names).encode() for output, names in labels.items()})


def _put(model: Any, name: bytes, content: bytes) -> None:
    found = next((entry for entry in model.metadata if entry.name == name), None)
    if found is None:
        found = schema.MetadataT()
        found.name, found.buffer = name, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata.append(found)
    model.buffers[found.buffer].data = np.frombuffer(content, np.uint8)


def _interface(model: Any) -> tuple[list[str], list[str]]:
    """The names of inputs and outputs in the order of the graph: from the signature, or from the tensors."""
    graph, signatures = model.subgraphs[0], model.signatureDefs
    if not signatures:
        return _own(graph, graph.inputs), _own(graph, graph.outputs)
    return _named(graph.inputs, signatures[0].inputs), _named(graph.outputs, signatures[0].outputs)


def _own(graph: Any, tensors: Sequence[int]) -> list[str]:
    return [graph.tensors[int(i)].name.decode() for i in tensors]


def _named(tensors: Sequence[int], entries: Sequence[Any]) -> list[str]:
    names: dict[int, list[str]] = {}
    for entry in entries:
        names.setdefault(int(entry.tensorIndex), []).append(entry.name.decode())
    # A tensor that is two outputs is listed twice in the graph.
    return [names[int(i)].pop(0) if len(names[int(i)]) > 1 else names[int(i)][0] for i in tensors]


def read_metadata(path: Path) -> dict[str, str]:
    """The entries that this package wrote into the file; empty for a file of another tool."""
    model = read_file(path)
    for entry in model.metadata or []:
        if entry.name == _ENTRY:
            found = json.loads(bytes(model.buffers[entry.buffer].data))
            return {str(key): str(value) for key, value in found.items()}
    return {}
