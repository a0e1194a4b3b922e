"""Why a file cannot be loaded, in the words that matter: the last ones of Keras, not the first."""

from __future__ import annotations

import re

from ..errors import ExportError
from .code_in_file import REFUSED

_CODE = f"it holds a Lambda layer or another piece of Python code, {REFUSED}."
# Keras wraps an error into others and repeats the config of the layer on the way.
_LAST_WORDS = re.compile(
    r"Exception encountered:\s*|Error encountered during deserialization:\s*|"
    r"Example error message for object <[^\n]*>:\s*|"
    r"Exception encountered when calling [^\n]*\n\s*(?!Arguments received)(?=\S)"
)
# What HDF5, zip and JSON say of bytes that are not as they should be; nothing else is called damage.
_DAMAGE = re.compile(
    r"unable to (synchronously )?(open|read|get)|truncated|bad (symbol|object|magic|crc)|file signature|"
    r"not a zip|corrupt|wrong b-tree|can't (read|open)|Expecting (value|property|',')|Unterminated string|"
    r"incorrect metadata checksum|Error -\d while decompressing|address overflow|codec can't decode",
    re.IGNORECASE,
)


def explain(error: Exception) -> str:
    """The reason behind an error of Keras, h5py or zipfile, with the remedy where one is known."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    unknown = re.search(r"Could not locate class '([^']+)'", text) or re.search(r"Unknown layer: '?([\w>.]+)'?", text)
    if unknown:
        return (
            f"it uses '{unknown[1]}', which is not registered. Decorate the class with "
            "@keras.saving.register_keras_serializable() and import it, or pass custom_objects (--import FILE.py on "
            "the command)."
        )
    function = re.search(r"Could not (?:interpret|locate) (\w+)(?: function)?(?: identifier:)? '?([^\s']+)'?", text)
    if function:
        return (
            f"it uses the {function[1]} '{function[2]}', which is not registered. Decorate the function with "
            "@keras.saving.register_keras_serializable() and import it, or pass custom_objects (--import FILE.py on "
            "the command)."
        )
    if "safe_mode" in text or "unsafe" in text.lower() or "__lambda__" in text:
        return _CODE
    if isinstance(error, RecursionError):
        return "its layers are nested too deeply."
    if isinstance(error, MemoryError):
        return "its layers need more memory than there is."
    last = _LAST_WORDS.split(text)[-1]
    line = next((line.strip() for line in last.splitlines() if line.strip()), type(error).__name__)
    length = 1_000 if isinstance(error, ExportError) else 300
    kind = "" if type(error).__name__ in ("ExportError", "ValueError") else f" ({type(error).__name__})"
    if _DAMAGE.search(text) and "damaged" not in line:
        return f"{line[:length]}{kind}. The file is damaged or truncated."
    return f"{line[:length].rstrip('.')}{kind}."
