"""TensorFlow Addons' WeightNormalization: in inference the layer within, with the kernel g v / |v|."""

from __future__ import annotations

from ...errors import ExportError
from ..config_tree import Entry, is_entry, name_of
from ..writer import Writer

WEIGHT_NORM = "weight_norm"  # in an entry: it was such a wrapper


def apply(entry: Entry, writer: Writer) -> bool:
    """Put the layer within into the place of the wrapper, under its name."""
    stated = str(entry.get("registered_name") or entry["class_name"])
    if stated != "Addons>WeightNormalization":
        return False
    name, inner = name_of(entry), entry["config"]["layer"]
    if not is_entry(inner) or inner["class_name"] in ("LSTM", "GRU", "SimpleRNN"):
        raise ExportError(
            f"layer '{name}' is a WeightNormalization of a recurrent layer, for which there is no translation"
        )
    for key in ("module", "registered_name"):
        entry.pop(key, None)
    entry.update(inner, config={**inner["config"], "name": name})
    entry[WEIGHT_NORM] = True
    return True
