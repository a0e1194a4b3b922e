"""Who wrote a model file, as its own bytes tell."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Writer:
    """The library that wrote a file: its version as the file states it, and the backend of Keras at that time."""

    version: str | None
    backend: str | None = None

    @property
    def major(self) -> int:
        """The first number of the version: 1, 2 or 3. Files without a version are older than the first that has one."""
        found = re.match(r"\d+", self.version or "")
        return int(found[0]) if found else 1

    @property
    def standalone(self) -> bool:
        """Whether it is the package Keras of its own, up to 2.3, not tf.keras within TensorFlow."""
        if self.major != 2:
            return self.major == 1
        numbers = [int(number) for number in re.findall(r"\d+", str(self.version))[:2]]
        return len(numbers) == 2 and numbers < [2, 4] and "-tf" not in str(self.version)

    def before(self, *since: int) -> bool:
        """Whether the version is an earlier one: `before(2, 2)` up to 2.1."""
        numbers = tuple(int(number) for number in re.findall(r"\d+", str(self.version))[:2])
        return numbers < since if len(numbers) == 2 else numbers < since[:1]

    @property
    def name(self) -> str:
        """The library with its version, as in "tf_keras 2.21.0"."""
        if self.version is None:
            return "Keras 1 (the file states no version)"
        numbers = [int(number) for number in re.findall(r"\d+", self.version)[:2]]
        if self.major != 2:
            library = "Keras"
        elif numbers >= [2, 16]:
            library = "tf_keras"  # Keras 2.16 and later exist only under this name
        else:
            library = "tf.keras" if self.version.endswith("-tf") else "Keras"
        return f"{library} {self.version}"

    def __str__(self) -> str:
        return self.name + (f" on {self.backend}" if self.backend else "")
