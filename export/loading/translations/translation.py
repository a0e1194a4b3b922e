"""What a translation of an old file is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config_tree import Entry
from ..writer import Writer


@dataclass(frozen=True)
class Translation:
    """A difference between what an old Keras meant by a config and what Keras 3 makes of it.

    Attributes:
        name: what is translated, in a few words.
        versions: the major versions of Keras whose files it is for.
        reason: why Keras 3 would refuse the config, or compute something else from it.
        exactness: how far the result may be from the original.
        apply: changes the entry of one layer in place, and says whether there was anything to change.
    """

    name: str
    versions: tuple[int, ...]
    reason: str
    exactness: str
    apply: Callable[[Entry, Writer], bool]
