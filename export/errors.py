"""The errors of the export package: each states the invariant, what was received, and what to do."""

import re


class FoldError(ValueError):
    """A model cannot be folded, or folding it would change what it computes."""


class ExportError(ValueError):
    """A model, a path or an option from which no artifact can be made."""


class VerificationError(RuntimeError):
    """An artifact that does not reproduce its model; it has not been written."""


def first_words(error: Exception) -> str:
    """What a library's error says in its first line, behind the name of the layer where Keras gives one."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    where = re.match(r"Exception encountered when calling (.+)\.$", lines[0])
    return f"{where[1]}: {lines[1][:300]}" if where and len(lines) > 1 else lines[0][:300]
