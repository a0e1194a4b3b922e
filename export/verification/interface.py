"""Whether an artifact takes and returns what its model does, and which of its names stand for which of the model's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..artifact.metadata import MODEL
from ..errors import ExportError, VerificationError, reason_of
from ..formats.protocol import Runner
from ..model.layer_names import names_apart
from ..model.signature import Signature, Spec
from ..model.user_inputs import Arrays
from ..quantization.modes import Mode
from .pieces import run_in_pieces

_AT_ONCE = 2
_FLOATS = {"float16", "bfloat16", "float32"}


@dataclass(frozen=True)
class Artifact:
    """A file that its runtimes have opened, and its names for the inputs and the outputs of the model."""

    path: Path
    runners: dict[str, Runner]
    to_input: dict[str, str]
    to_output: dict[str, str]

    @classmethod
    def of(cls, path: Path, runners: dict[str, Runner], sig: Signature) -> Artifact:
        """The same names where the file has those of `sig`; by position in the file of another tool.

        Raises:
            ExportError: If the file has more or fewer inputs or outputs than the model.
        """
        first = first_of(runners)
        inputs, theirs = [spec.name for spec in sig.inputs], [spec.name for spec in first.inputs]
        to_input = _match(inputs, theirs, "inputs", path)
        return cls(path, runners, to_input, _match(list(sig.outputs), list(first.outputs), "outputs", path))

    def with_runner(self, name: str, runner: Runner) -> Artifact:
        """The same file in one other runtime."""
        return replace(self, runners={name: runner})

    @property
    def batch(self) -> int | None:
        """The batch size that the file fixes."""
        return fixed_batch(first_of(self.runners))

    def feed(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Inputs in the model's order by the file's names for them."""
        return dict(zip(self.to_input.values(), arrays, strict=True))

    def run_all(self, many: list[Arrays]) -> Iterator[dict[str, Arrays]]:
        """What `run` gives in each runtime, input after input; two at once, one input ahead, if no runtime minds."""
        if not all(getattr(runner, "at_once", False) for runner in self.runners.values()):
            for arrays in many:
                yield {name: self.run(name, arrays) for name in self.runners}
            return
        pool, ahead = ThreadPoolExecutor(_AT_ONCE), deque[dict[str, Future[Arrays]]]()
        try:
            for arrays in many:
                ahead.append({name: pool.submit(self.run, name, arrays) for name in self.runners})
                if len(ahead) > 1:
                    yield _results(ahead.popleft())
            while ahead:
                yield _results(ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def run(self, runtime: str, arrays: Arrays) -> Arrays:
        """Its outputs in `runtime`, in the model's order, for all rows: as many at a time as the file takes.

        Raises:
            VerificationError: If the runtime does not run the file.
        """
        runner = self.runners[runtime]

        def run(piece: Arrays) -> Arrays:
            found = runner.run(self.feed(piece))
            return [found[name] for name in self.to_output.values()]

        try:
            return run_in_pieces(run, arrays, fixed_batch(runner))
        except Exception as error:  # each runtime has exceptions of its own
            raise VerificationError(f"'{self.path.name}' does not run in {runtime}: {reason_of(error)}") from error


def _results(running: dict[str, Future[Arrays]]) -> dict[str, Arrays]:
    return {name: future.result() for name, future in running.items()}


def first_of(runners: dict[str, Runner]) -> Runner:
    """The runtime that is asked for the interface; the others show the same."""
    return next(iter(runners.values()))


def fixed_batch(runner: Runner) -> int | None:
    """The batch size of all inputs, or None where it is free or differs."""
    sizes = {spec.shape[0] for spec in runner.inputs if spec.shape}
    return sizes.pop() if len(sizes) == 1 else None


def check_names(sig: Signature, runners: dict[str, Runner], path: Path, metadata: dict[str, str]) -> None:
    """Refuse a file of this package whose names are not the model's; the file of another tool may have any.

    In an ONNX file an output cannot be called as an input is, so there a number is appended.

    Raises:
        ExportError: If the names of the inputs or of the outputs differ.
    """
    first = first_of(runners)
    inputs = {spec.name for spec in sig.inputs}
    pairs = {
        "inputs": (inputs, {spec.name for spec in first.inputs}),
        "outputs": (set(sig.outputs), set(first.outputs)),
    }
    apart = set(names_apart(sig.outputs, inputs))
    for kind, (ours, theirs) in pairs.items():
        if MODEL in metadata and theirs not in (ours, apart if kind == "outputs" else ours):
            raise ExportError(
                f"'{path}' has the {kind} {sorted(theirs)}, the model has {sorted(ours)}; keras-norms keeps the names. "
                "Is it the artifact of another model, or was it changed? Export the model again."
            )


def check_inputs(sig: Signature, artifact: Artifact, mode: Mode | None) -> None:
    """Refuse a file whose inputs have other shapes or dtypes than those of the model.

    Raises:
        ExportError: If an input differs; names it.
    """
    of_artifact = {spec.name: spec for spec in first_of(artifact.runners).inputs}
    for spec in sig.inputs:
        other = of_artifact[artifact.to_input[spec.name]]
        # A quantized file may take bytes; a model of mixed precision is exported in float32.
        same = spec.dtype == other.dtype or mode is not None or {spec.dtype, other.dtype} <= _FLOATS
        if not same or not _fits(spec, other):
            raise ExportError(
                f"'{artifact.path}' takes {other}, the model takes {spec}. Is it the artifact of another model?"
            )


def _fits(spec: Spec, other: Spec) -> bool:
    """Whether two shapes are of one rank and differ at most where one of them is free."""
    if len(spec.shape) != len(other.shape):
        return False
    return all(None in pair or pair[0] == pair[1] for pair in zip(spec.shape, other.shape, strict=True))


def _match(of_model: list[str], of_artifact: list[str], kind: str, path: Path) -> dict[str, str]:
    """Names of the model to names of the artifact: the same ones, or, for another tool's file, by position."""
    if len(of_model) != len(of_artifact):
        raise ExportError(
            f"'{path}' has the {kind} {of_artifact}, the model has {of_model}. Is it the artifact of another model?"
        )
    if set(of_model) == set(of_artifact):
        return {name: name for name in of_model}
    return dict(zip(of_model, of_artifact, strict=True))


def mismatch(y: np.ndarray, got: np.ndarray, mode: Mode | None) -> str | None:
    """Why an output cannot be the model's, whatever its numbers are: its shape or its dtype."""
    if y.shape != got.shape:
        return f"has the shape {list(got.shape)}, the model's {list(y.shape)}"
    if y.dtype != got.dtype and (mode is None or got.dtype.kind != y.dtype.kind):
        return f"is {got.dtype}, the model's {y.dtype}"
    return None
