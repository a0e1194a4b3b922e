"""What the pipeline, verification and timing need of a file format and of its runtimes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..model.spec import Spec
from ..options import ExportOptions, NormForm, Tails
from ..progress import Progress
from ..quantization.stored_weights import StoredWeights
from ..report.delegate_report import XnnpackReport
from ..report.micro_report import MicroReport
from ..report.npu_report import NpuReport
from ..report.unquantized import Unquantized

if TYPE_CHECKING:  # it imports Keras, and the process that runs a file does without
    from ..model.facts import ModelFacts

Options = TypeVar("Options", bound=ExportOptions)


class Runner(Protocol):
    """A loaded artifact. `inputs` and `outputs` stand in the order of the file."""

    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inputs by name to outputs by name; free dimensions take the size of the arrays."""
        ...


@dataclass(frozen=True)
class Conversion:
    """One conversion: of which recorded model, to which file, under which names, with which calibration data (.npz)."""

    saved_model: str
    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calibration: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the converting process, which builds the same value of it again."""
        return asdict(self)


class ArtifactReader(Protocol):
    """What reads and runs a file. A `Format` does so in this process, `isolated.isolated_reader` in one of its own."""

    def runners(self, path: Path) -> dict[str, Runner]:
        """Each way in which a user's runtime may run the file, by what reports call it.

        Raises:
            ExportError: If the file is damaged.
        """
        ...

    def quantized_as(self, path: Path) -> str | None:
        """The mode that the file is quantized in, read off the file; None for float32."""
        ...

    def tensors(self, path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        """(name, value) of every float result inside the file, in the order in which they are computed."""
        ...

    def operation_names(self, path: Path) -> dict[str, str]:
        """The name of the operation that makes each result, where the format gives operations names."""
        ...

    def read_metadata(self, path: Path) -> dict[str, str]:
        """The strings that the file keeps."""
        ...


class Format(ArtifactReader, Protocol[Options]):
    """A file format. FORMATS names the module of each; an object of this kind is its `FORMAT`."""

    name: str  # as reports call it
    modes: tuple[str, ...]  # what `quantize` may be
    calibrated: tuple[str, ...]  # the modes that calibration data serve
    channels_first: bool  # the layout that the runtime's convolutions want
    converter: str  # the module of the job in `convert`: its process imports it while the model is traced

    def check(self, options: Options, calibrated: bool) -> None:
        """Refuse options that the format does not have, before any work is done. `calibrated`: with calibration data.

        Raises:
            ExportError: If an option, or two of them together, are not possible.
        """
        ...

    def norm_form(self, options: Options) -> NormForm:
        """The form that norms take, by what the runtime computes in."""
        ...

    def tails(self, options: Options) -> Tails:
        """The norms whose gamma and beta the layers behind them take better than their own operations."""
        ...

    def frozen_below(self) -> int:
        """The bytes of weights up to which the converter reads a frozen graph, and no SavedModel; 0 for never."""
        ...

    def convert(self, conversion: Conversion, options: Options, facts: ModelFacts, say: Progress) -> tuple[str, ...]:
        """Write the artifact and return warnings. `facts` are of the model that was recorded.

        Raises:
            ExportError: If the format has no operation for something in the model; the message names the layer.
        """
        ...

    def in_floats(self, options: Options) -> Options:
        """The options of the file in float32 whose weights `quantize="auto"` stores in fewer bits."""
        ...

    def stored_weights(
        self, path: Path, examples: list[list[np.ndarray]], layers: Collection[str], say: Progress
    ) -> StoredWeights:
        """The weights of a file in float32; `examples` are batches of inputs that their rounding is made for.

        Raises:
            ExportError: If the file's weights cannot be stored otherwise.
        """
        ...

    def fastest(self, path: Path) -> Runner:
        """The file as an app runs it, on one thread: to measure its time.

        Raises:
            ExportError: If the file is damaged.
        """
        ...

    def advisers(self, path: Path) -> dict[str, Runner]:
        """Evaluators that no user has, for a file small enough for them: what they say is told, and decides nothing."""
        ...

    def op_counts(self, path: Path) -> dict[str, int]:
        """How many there are of each operation."""
        ...

    def unquantized(self, path: Path, mode: str, layers: Collection[str]) -> tuple[Unquantized, ...]:
        """The layers that have weights in float32 in a file quantized in `mode`, and why."""
        ...

    def delegate_report(self, path: Path, options: Options, layers: Collection[str]) -> XnnpackReport | None:
        """What a delegate takes of the file; None where the format knows none."""
        ...

    def chip_reports(
        self, path: Path, options: Options, layers: Collection[str]
    ) -> tuple[MicroReport | NpuReport, ...]:
        """What a file for a chip without an operating system takes there; nothing for other files."""
        ...

    def write_metadata(self, path: Path, entries: dict[str, str]) -> None:
        """Keep strings by name in the file."""
        ...
