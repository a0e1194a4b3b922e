"""One run of a command: what libraries print stays off the terminal, and every failure becomes one readable line."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn, TextIO

import click

from .terminal import Terminal
from .visible import visible

_EXTRAS = {
    "sklearn": "demo",
    "matplotlib": "demo",
    "tensorflow": "export",
    "tf2onnx": "export",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxruntime": "export",
    "ai_edge_litert": "export",
}


@contextmanager
def session(show_traceback: bool, *, libraries: bool = True) -> Iterator[Terminal]:
    """Import keras_norms and yield the user's terminal; what libraries print is shown with `show_traceback` only.

    Without `libraries` it imports nothing: for a command whose work is done by another process.

    The command always runs on the TensorFlow backend: the converters read TensorFlow's graphs, and a model file loads
    on any backend, whichever wrote it.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the command
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    with ExitStack() as stack:
        out, err = (sys.stdout, sys.stderr) if show_traceback else stack.enter_context(_quiet())
        try:
            terminal = Terminal(out, err)
            if libraries:
                with terminal.status("starting TensorFlow"):
                    _import_libraries()
            yield terminal
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if show_traceback:
                print(visible(traceback.format_exc(), keep="\n"), file=err)
            _refuse(error)


def _import_libraries() -> None:
    """Without what Keras imports for wrappers that no command uses, and without looking for garbage in what stays.

    That is half of the time.
    """
    if "keras_norms.export" in sys.modules:
        return
    hidden = [name for name in ("sklearn", "matplotlib") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # Python takes None for a module that is missing
    collects = gc.isenabled()
    gc.disable()
    try:
        import keras_norms.export  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        if collects:
            gc.enable()


def _refuse(error: Exception) -> NoReturn:
    errors = sys.modules.get("keras_norms.export.errors")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in _EXTRAS:
        module = (error.name or "").split(".")[0]
        text = f"this needs {module}, which is not installed: pip install 'keras-norms[{_EXTRAS[module]}]'"
    elif errors and isinstance(error, (errors.FoldError, errors.ExportError, errors.VerificationError)):
        text = str(error)
    else:
        # Without the module, keras_norms.export itself could not be imported.
        told = errors.kind_and_reason(error) if errors else f"{type(error).__name__}: {' '.join(str(error).split())}"
        text = f"{told[:500]} (--traceback shows where it came from)"
    raise click.ClickException(text) from error


@contextmanager
def _quiet() -> Iterator[tuple[TextIO, TextIO]]:
    """Send what Python and native code print to a temporary file; yield streams that still reach the user."""
    python = sys.stdout, sys.stderr
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        real = tuple(stack.enter_context(_moved(stream, fd, scratch)) for fd, stream in enumerate(python, start=1))
        sys.stdout = sys.stderr = scratch
        try:
            yield real[0], real[1]
        finally:
            sys.stdout, sys.stderr = python


@contextmanager
def _moved(stream: TextIO, fd: int, scratch: TextIO) -> Iterator[TextIO]:
    """Point file descriptor `fd` at the scratch file; yield a stream that still reaches where `stream` did."""
    stream.flush()
    saved = os.dup(fd)
    os.dup2(scratch.fileno(), fd)
    try:
        if _descriptor(stream) == fd:
            real = os.fdopen(os.dup(saved), "w", encoding=stream.encoding, errors="replace")
            try:
                yield real
            finally:
                with suppress(OSError):  # what could not be written has been reported by the line that failed
                    real.close()
        else:
            yield stream
    finally:
        os.dup2(saved, fd)
        os.close(saved)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
