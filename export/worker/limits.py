"""How long and with how much memory a file of unknown origin may run, and where a user allows more."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import ExportError

SECONDS, GIGABYTES = "KERAS_NORMS_RUN_SECONDS", "KERAS_NORMS_RUN_GIGABYTES"
# For opening a file and for each run of it. A run of a network for phones takes a tenth of a second, of one with a
# gigabyte of weights ten.
BASE_SECONDS, SECONDS_PER_MEGABYTE = 120.0, 1.0
SHARE_OF_MEMORY, TIMES_THE_FILE = 0.5, 16
_LEAST_BYTES = 4 << 30  # where the system does not tell how much it has


@dataclass(frozen=True)
class Limits:
    """What one call into the guarded process may take."""

    seconds: float
    bytes: int

    @classmethod
    def for_file(cls, size: int) -> Limits:
        """The limits for a file of `size` bytes, unless the environment says otherwise.

        Raises:
            ExportError: If an environment variable is no positive number.
        """
        seconds = _from_environment(SECONDS) or BASE_SECONDS + SECONDS_PER_MEGABYTE * size / 1e6
        gigabytes = _from_environment(GIGABYTES)
        most = max(_LEAST_BYTES, int(SHARE_OF_MEMORY * _memory()), TIMES_THE_FILE * size)
        return cls(seconds, most if gigabytes is None else int(gigabytes * 1e9))


def _from_environment(name: str) -> float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ExportError(f"{name} must be a positive number; got {text!r}. Change it or unset it.")
    return value


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, or a system that does not tell
        return 0
