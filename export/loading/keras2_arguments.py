"""Legacy .h5 files of Keras 2: some of its layers say what Keras 3 has no argument for.

Where such an argument has the one value that Keras 3 computes with anyway, the file is read without it.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

_CONFIG = "model_config"
_ANY = object()
_GONE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("(ConvLSTM.D|GRU|LSTM|RNN|SimpleRNN)", {"time_major": False}),
    (r"(Conv.DTranspose|DepthwiseConv.D|SeparableConv.D)", {"groups": 1}),
    ("SeparableConv.D", {f"kernel_{part}": _ANY for part in ("initializer", "regularizer", "constraint")}),
    ("SpatialDropout.D", {"noise_shape": None, "trainable": _ANY}),
)


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """The path itself, or within the block that of a copy which Keras 3 can read."""
    with h5py.File(path) as file:
        text = file.attrs.get(_CONFIG)
    config = json.loads(text) if text is not None else None
    if not _clean(config):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="keras-norms-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        with h5py.File(copy, "r+") as file:
            file.attrs[_CONFIG] = json.dumps(config).encode()
        yield copy


def _clean(node: Any) -> bool:
    """Drop what says nothing from a config, layers within layers too; whether there was any."""
    found = False
    if isinstance(node, dict):
        config: Any = node.get("config")
        for classes, arguments in _GONE if isinstance(config, dict) else ():
            if re.fullmatch(classes, str(node.get("class_name"))):
                gone = [name for name, value in arguments.items() if name in config and value in (_ANY, config[name])]
                for name in gone:
                    del config[name]
                found |= bool(gone)
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        found |= _clean(item)
    return found
