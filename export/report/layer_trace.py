"""The error of every layer in a file, in the order in which the model runs."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ExportError
from .node_data import node_data
from .strict_json import strict_json
from .text_table import Block, table, text
from .trace_chart import save_chart

PLOTS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class LayerError:
    """One call of a layer, and how far the file's result is from the model's.

    `call` counts the calls of a layer that is called more than once. `sqnr_db` is the signal's power over the error's,
    infinite where they are the same; `relative` is the largest error as a share of the largest |y|; both are None where
    no tensor of the file stands for the result, and `note` says why. `before_db` is the lowest ratio of what the layer
    takes. `tensors` are the names in the file,
    one for each result, and `operations` those of what makes them, in a format that names operations (ONNX).
    """

    layer: str
    kind: str
    call: int = 1
    sqnr_db: float | None = None
    relative: float | None = None
    before_db: float | None = None
    tensors: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    note: str = ""

    @property
    def title(self) -> str:
        """The layer, and which call where there are several."""
        return self.layer if self.call == 1 else f"{self.layer}, call {self.call}"


@dataclass(frozen=True)
class LayerTrace:
    """The result of `trace=True`: `layers`, one record for each call, in order of execution.

    `data` says which inputs the figures are of, `runtime` what ran the file: with every operation's result kept, and
    without a delegate or merged operations. `worst` is the position of the call with the worst drop, from what the
    layer takes to what it gives; None if no layer loses anything. Where nothing could be traced `layers` is empty, and
    `problem` says why.
    """

    HEADER: ClassVar = ["layer", "class", "SQNR dB", "largest error / scale", "tensor in the file", ""]

    file: str
    data: str
    runtime: str
    layers: tuple[LayerError, ...]
    worst: int | None = None
    problem: str | None = None

    @property
    def worst_drop(self) -> LayerError | None:
        """The record of the call with the worst drop."""
        return None if self.worst is None else self.layers[self.worst]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON text; the infinite ratio of an exact result becomes null, with a `relative` of 0."""
        return strict_json(self.to_dict())

    def save_nodes(self, path: str | os.PathLike[str]) -> Path:
        """Write custom node data for Model Explorer: drop this file onto the graph of the artifact.

        Raises:
            ValueError: If no layer was traced; says why.
            OSError: If the file cannot be written.
        """
        self._check()
        path = Path(path)
        path.write_text(strict_json(node_data(self.file, self.layers)) + "\n", encoding="utf-8")
        return path

    def save_plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the ratio of every layer; the suffix (.png, .svg, .pdf) says as what.

        Raises:
            ValueError: If no layer was traced, or if the suffix is another one; says what to do.
            ModuleNotFoundError: If matplotlib is not installed; says how to install it.
            OSError: If the file cannot be written.
        """
        self._check()
        path = Path(path)
        if path.suffix.lower() not in PLOTS:
            raise ExportError(f"A plot must end in {', '.join(PLOTS)}; got '{path.name}'. Rename it.")
        return save_chart(self, path)

    def _check(self) -> None:
        if self.problem is not None:
            raise ExportError(str(self))

    def rows(self) -> list[list[str]]:
        """The cells of the table that a person reads, under `HEADER`."""
        return [_row(layer, worst=i == self.worst) for i, layer in enumerate(self.layers)]

    @property
    def title(self) -> str:
        """What the figures are of, in a line."""
        return f"Layer by layer, on {self.data}, in {self.runtime}"

    def __str__(self) -> str:
        if self.problem is not None:
            return text([f"No layer of {self.file} was traced: {self.problem}"])
        return text([self.title, Block(table(self.HEADER, self.rows()))])


def _row(layer: LayerError, worst: bool) -> list[str]:
    notes = [layer.note] if layer.note else []
    if worst:
        before = "exact" if layer.before_db is None else f"{layer.before_db:.1f}"
        notes.insert(0, f"<- worst drop, from {before}")
    return [
        layer.title,
        layer.kind,
        "-" if layer.sqnr_db is None else decibels(layer.sqnr_db),
        "-" if layer.relative is None else f"{layer.relative:.1e}",
        ", ".join(layer.tensors) or "-",
        "; ".join(notes),
    ]


def decibels(ratio: float) -> str:
    """A ratio as a table prints it."""
    return "exact" if ratio == float("inf") else f"{ratio:.1f}"
