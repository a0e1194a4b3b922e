"""`--trace` and the files that show what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import arguments, tables
from .terminal import Terminal

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.report.layer_trace import LayerTrace

# They stand here too, since importing the report imports Keras; a test compares the two.
PLOTS = (".png", ".svg", ".pdf")


def check_plot(option: str, path: Path, artifacts: int) -> None:
    """Check, before any work, that a plot can be drawn.

    Raises:
        click.UsageError: If it is for several artifacts, or has a suffix that says nothing.
        click.ClickException: If matplotlib is not installed.
    """
    _check_alone(option, artifacts)
    if path.suffix.lower() not in PLOTS:
        raise click.UsageError(f"{option} must end in {', '.join(PLOTS)}; got '{path.name}'.")
    if find_spec("matplotlib") is None:
        raise click.ClickException(
            f"{option} needs matplotlib, which is not installed: pip install 'keras-norms[demo]'"
        )


def _check_alone(option: str, artifacts: int) -> None:
    if artifacts > 1:
        raise click.UsageError(f"{option} goes with one OUT; got {artifacts}.")


@dataclass(frozen=True)
class TraceFiles:
    """What the options ask for: a table, and the files to write beside it."""

    shown: bool
    plot: Path | None
    nodes: Path | None

    @property
    def asked(self) -> bool:
        """Whether the layers are to be traced at all."""
        return self.shown or bool(self._paths())

    def check(self, model: Path, others: Sequence[Path], artifacts: int = 1) -> None:
        """Check the options before any work; `others` are the paths of the other files of the command.

        Raises:
            click.UsageError: If a file is for several artifacts, has a suffix that says nothing, or is another one.
            click.ClickException: If matplotlib is needed and not installed.
        """
        if self.nodes is not None:
            _check_alone("--trace-nodes", artifacts)
        if self.plot is not None:
            check_plot("--trace-plot", self.plot, artifacts)
        if self._paths():
            arguments.distinct(model, [*others, *self._paths().values()])

    def check_writable(self) -> None:
        """Refuse a path where nothing can be written, before any work.

        Raises:
            ExportError: If there is one.
        """
        from keras_norms.export.artifact.atomic_write import check_writable

        for path in self._paths().values():
            check_writable(path)

    @contextmanager
    def of_refused(self, terminal: Terminal, *, quiet: bool) -> Iterator[None]:
        """Show the trace of a file that is refused within the block too: there it is needed most."""
        try:
            yield
        except Exception as error:
            trace = getattr(error, "trace", None)
            if trace is not None and trace.problem is None:
                self.write(trace, terminal, quiet=quiet)
            raise

    def write(self, trace: LayerTrace, terminal: Terminal, *, quiet: bool) -> None:
        """Write the files of a trace, and show its table unless `quiet`.

        Raises:
            ExportError: If a file was asked for, and no layer could be traced.
            click.ClickException: If a file cannot be written.
        """
        if not quiet:
            tables.trace(terminal, trace)
        for option, path in self._paths().items():
            try:
                (trace.save_plot if option == "--trace-plot" else trace.save_nodes)(path)
            except OSError as error:
                raise click.ClickException(f"'{path}' cannot be written: {error.strerror or error}.") from error
            if not quiet:
                terminal.line(f"  {option.removeprefix('--trace-')} of the trace: {path}")

    def _paths(self) -> dict[str, Path]:
        given = {"--trace-plot": self.plot, "--trace-nodes": self.nodes}
        return {option: path for option, path in given.items() if path is not None}
