"""TFLite Metadata, which Android, the Task Library and MediaPipe read: the names of a model, of its inputs and outputs,
and of its classes.

It is a flatbuffer of its own in a metadata buffer of the file (schema: `metadata_schema.fbs` of tflite-support, 1.0.0,
https://github.com/tensorflow/tflite-support). Lists of names are text files, a line each, in a zip archive that is
appended to the model without compression: the file is then a model to one reader and an archive to another.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import flatbuffers

ENTRY = b"TFLITE_METADATA"
_IDENTIFIER, _PARSER = b"M001", "1.0.0"
_AXIS_LABELS, _FEATURE = 2, 1  # AssociatedFileType.TENSOR_AXIS_LABELS, ContentProperties.FeatureProperties


class _Model:
    NAME, DESCRIPTION, VERSION, SUBGRAPHS, PARSER, SLOTS = 0, 1, 2, 3, 7, 8


class _Subgraph:
    INPUTS, OUTPUTS, SLOTS = 2, 3, 10


class _Tensor:
    NAME, CONTENT, FILES, SLOTS = 0, 3, 6, 7


class _Content:
    TYPE, PROPERTIES, SLOTS = 0, 1, 3


class _File:
    NAME, DESCRIPTION, TYPE, SLOTS = 0, 1, 2, 5


@dataclass(frozen=True)
class About:
    """Name, description and version of a model, and the names of its inputs and outputs in the order of the file."""

    name: str
    description: str
    version: str
    inputs: Sequence[str]
    outputs: Sequence[str]


def file_names(labelled: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """The file of labels by output: `labels.txt` for the only output, as most readers expect."""
    if len(outputs) == 1:
        return dict.fromkeys(labelled, "labels.txt")
    return {output: f"{quote(output, safe='')}_labels.txt" for output in labelled}


def standard_metadata(about: About, files: Mapping[str, str]) -> bytes:
    """The metadata flatbuffer; `files` gives for an output the name of its text file of labels."""
    made = flatbuffers.Builder()
    inputs = _vector(made, [_tensor(made, name) for name in about.inputs])
    outputs = _vector(made, [_tensor(made, name, files.get(name)) for name in about.outputs])
    subgraph = _table(made, _Subgraph.SLOTS, {_Subgraph.INPUTS: inputs, _Subgraph.OUTPUTS: outputs})
    fields = {
        _Model.NAME: made.CreateString(about.name),
        _Model.DESCRIPTION: made.CreateString(about.description),
        _Model.VERSION: made.CreateString(about.version),
        _Model.SUBGRAPHS: _vector(made, [subgraph]),
        _Model.PARSER: made.CreateString(_PARSER),
    }
    made.Finish(_table(made, _Model.SLOTS, fields), file_identifier=_IDENTIFIER)
    return bytes(made.Output())


def append_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Append `files` to a model that has none yet; the bytes depend on neither the time nor the machine."""
    if not files:
        return
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(
                name
            )  # its date is 1980-01-01, the default, so that the bytes do not depend on the day
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


def _tensor(made: flatbuffers.Builder, name: str, file: str | None = None) -> int:
    fields = {_Tensor.NAME: made.CreateString(name)}
    if file is not None:
        named = {
            _File.NAME: made.CreateString(file),
            _File.DESCRIPTION: made.CreateString("The names of the classes along the last axis, a line each."),
        }
        fields[_Tensor.FILES] = _vector(made, [_table(made, _File.SLOTS, named, {_File.TYPE: _AXIS_LABELS})])
    content = {_Content.PROPERTIES: _table(made, 0, {})}
    fields[_Tensor.CONTENT] = _table(made, _Content.SLOTS, content, {_Content.TYPE: _FEATURE})
    return _table(made, _Tensor.SLOTS, fields)


def _table(
    made: flatbuffers.Builder, slots: int, offsets: Mapping[int, int], numbers: Mapping[int, int] | None = None
) -> int:
    """A table of `offsets` to what has been written already, and of one-byte `numbers`, both by slot."""
    made.StartObject(slots)
    for slot, offset in offsets.items():
        made.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in (numbers or {}).items():
        made.PrependUint8Slot(slot, number, 0)
    return int(made.EndObject())


def _vector(made: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    made.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        made.PrependUOffsetTRelative(offset)
    return int(made.EndVector())
