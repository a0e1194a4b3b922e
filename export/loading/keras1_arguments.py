"""What only Keras 1 had: translated in its own files, refused in what says that a later Keras wrote it."""

from __future__ import annotations

import re

from ..errors import ExportError
from .config_tree import Entry, name_of

# Arguments that only Keras 1 had; Dropout's `p` and Dense's `output_dim` are names of other things elsewhere.
_ANYWHERE = re.compile(
    r"nb_\w+|border_mode|subsample|inner_(activation|init)|[Wbu]_(regularizer|constraint)|dim_ordering"
)
_OF_CLASS = {"Dense": "output_dim", "Dropout": "p", "LSTM": "output_dim", "GRU": "output_dim", "Merge": "mode"}


def refuse_keras_1(entry: Entry) -> None:
    """Refuse a layer whose arguments still have the names of Keras 1: there is no translation for them.

    Raises:
        ExportError: If it has any; the message says how the file can be read.
    """
    config = entry["config"]
    for key in config if isinstance(config, dict) else ():
        if _ANYWHERE.fullmatch(key) or _OF_CLASS.get(entry["class_name"]) == key:
            raise ExportError(
                f"layer '{name_of(entry)}', a {entry['class_name']}, has the argument '{key}' of Keras 1, for which "
                "there is no translation here. Load it with Keras 2 (2.0 to 2.2 read files of Keras 1), save it there "
                "as .h5, and give that file"
            )
