"""What a stock layer computed otherwise when its file was written, for which there is no translation."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ExportError
from .config_tree import Entry, is_entry, name_of, walk
from .writer import Writer

_KNOWN = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")  # to Keras 3
_AT_CORNERS = (2, 2)  # the last versions of Keras whose bilinear UpSampling2D may take its points from the corners


def refuse_other_resizing(entry: Entry, writer: Writer, centred: bool) -> None:
    """Refuse what Keras 3 resizes by other points, or not at all. `centred` as `resizes_at_centres` says.

    Raises:
        ExportError: If the layer is such.
    """
    config = entry["config"]
    interpolation = config.get("interpolation") if isinstance(config, dict) else None
    if entry["class_name"] not in ("UpSampling2D", "Resizing") or not isinstance(interpolation, str):
        return
    if interpolation not in _KNOWN:
        raise ExportError(
            f"layer '{name_of(entry)}' resizes with interpolation='{interpolation}', which Keras 3 has no more"
        )
    if interpolation == "bilinear" and entry["class_name"] == "UpSampling2D" and not centred:
        raise ExportError(f"layer '{name_of(entry)}' is a bilinear UpSampling2D of {writer.name}: {_why(writer)}")


def _why(writer: Writer) -> str:
    corners = "took its points from the corners of pixels, not from their centres as every later Keras does"
    if writer.standalone:
        return f"up to 2.2 it {corners}, and 2.3 as the TensorFlow under it did, which the file does not say"
    return f"that of TensorFlow 1.13 {corners}, and nothing in the file shows that TensorFlow 1.15 or later wrote it"


def resizes_at_centres(tree: Entry, writer: Writer, tensorflow: str = "") -> bool:
    """Whether a bilinear UpSampling2D of this writer surely took its points from the centres of pixels.

    tf.keras called itself 2.2.4-tf from TensorFlow 1.13, which took them from the corners, to 2.1. From 1.15 on an
    InputLayer says whether it is ragged; an initializer says its type only where TensorFlow runs as 1 did.
    """
    if writer.standalone:
        return False
    numbers = tuple(int(number) for number in re.findall(r"\d+", str(writer.version))[:2])
    if numbers > _AT_CORNERS:
        return True
    if tensorflow:
        return tuple(int(number) for number in re.findall(r"\d+", tensorflow)[:2]) >= (1, 15)
    if any(entry["class_name"] == "InputLayer" and "ragged" in entry["config"] for entry in walk(tree)):
        return True
    initializers = [value for entry in walk(tree) for value in _initializers(entry)]
    return bool(initializers) and not any("dtype" in (value["config"] or {}) for value in initializers)


def _initializers(entry: Entry) -> list[Any]:
    config = entry["config"]
    found = config.items() if isinstance(config, dict) else ()
    return [value for key, value in found if key.endswith("_initializer") and is_entry(value)]


def refuse_padding_of_theano(entry: Entry) -> None:
    """Refuse what Theano pads otherwise than TensorFlow.

    Raises:
        ExportError: If a layer pads to the same size in steps, with an even kernel, or to pool.
    """
    config = entry["config"]
    if not isinstance(config, dict) or config.get("padding") != "same":
        return
    strides, sizes = (_numbers(config.get(key)) for key in ("strides", "kernel_size"))
    if "pool_size" in config or any(step != 1 for step in strides) or any(size % 2 == 0 for size in sizes):
        raise ExportError(
            f"layer '{name_of(entry)}' pads with 'same' on Theano, which pads both sides alike and crops: in steps, "
            "even kernels and pooling it computes something else than every other backend, for which there is no "
            "translation"
        )


def _numbers(value: object) -> list[int]:
    return [each for each in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(each, int)]
