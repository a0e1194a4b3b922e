"""The job of the process that asks tf_keras: it reads the file and computes the given inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .graph_safety import check_operations
from .keras_saved_model import KerasSavedModel


def run(
    path: str, architecture: str | None, inputs: str, outputs: str, layers: bool, unsafe: bool = False
) -> dict[str, Any]:
    """Write what tf_keras computes to `outputs`: the model's outputs, or those of each layer.

    `architecture` is a file of the config, of the weights in `path`, as it was checked. `unsafe` is the user's word
    that Python code in the file may run.

    Returns:
        The version of tf_keras, and the names of the layers whose outputs were written.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras

    if Path(path).is_dir():  # its functions are run as they are read
        read = KerasSavedModel(Path(path))
        check_operations(read.operations, read.functions)
    with np.load(inputs) as arrays:
        given = [arrays[key] for key in arrays]
    if architecture:
        # Not its reader of JSON, which makes objects, and knows no safe mode, as it reads the text.
        model = tf_keras.layers.deserialize(json.loads(Path(architecture).read_text(), object_hook=_ellipsis))
        model.load_weights(path)
    else:
        model = tf_keras.models.load_model(path, compile=False, safe_mode=not unsafe)
    for each in model.submodules:  # from a .keras, tf_keras reads the summary without cutting the bins
        if isinstance(each, tf_keras.layers.Discretization) and not each.bin_boundaries:
            each.finalize_state()
    names: list[str] = []
    if layers:
        single = [layer for layer in model.layers if len(layer.inbound_nodes) == 1]
        single = [layer for layer in single if not isinstance(layer.output, (list, tuple, dict))]
        names = [layer.name for layer in single]
        model = tf_keras.Model(model.inputs, [layer.output for layer in single])
    computed = model(given if len(given) > 1 else given[0], training=False)
    flat = _flat(computed)
    np.savez(outputs, *[np.asarray(each, dtype=_plain(each)) for each in flat])
    return {"version": tf_keras.__version__, "layers": names}


def _ellipsis(node: dict[str, Any]) -> Any:
    return ... if node.get("class_name") == "__ellipsis__" else node


def _flat(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        return [each for key in sorted(structure) for each in _flat(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [each for part in structure for each in _flat(part)]
    return [structure]


def _plain(tensor: Any) -> Any:
    return "float32" if "float16" in tensor.dtype.name else None
