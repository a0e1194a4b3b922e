"""TensorFlow Addons' SpectralNormalization: in inference the layer within; training divides its kernel in place."""

from __future__ import annotations

from ...errors import ExportError
from ..config_tree import Entry, is_entry, name_of
from ..writer import Writer
from .norms_of_others import OF_USER

SPECTRAL_NORM = "spectral_norm"  # in an entry: it was such a wrapper


def apply(entry: Entry, writer: Writer) -> bool:
    """Put the layer within into the place of the wrapper, under its name."""
    stated = str(entry.get("registered_name") or entry["class_name"])
    if stated != "Addons>SpectralNormalization" or entry.get(OF_USER):
        return False
    name, inner = name_of(entry), entry["config"]["layer"]
    if not is_entry(inner):
        raise ExportError(f"layer '{name}' is a SpectralNormalization of no layer")
    for key in ("module", "registered_name"):
        entry.pop(key, None)
    entry.update(inner, config={**inner["config"], "name": name})
    entry[SPECTRAL_NORM] = True
    return True
