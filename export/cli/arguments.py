"""The checks on a command line before any work starts, and the reading of the small files that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

# The quantization modes of each format. They stand here too, since importing the formats imports Keras; a test compares
# the two.
QUANTIZE = {
    ".tflite": ("float16", "dynamic", "int8", "int16x8", "auto"),
    ".onnx": ("float16", "dynamic", "int8", "auto"),
}
MODES = sorted({mode for modes in QUANTIZE.values() for mode in modes})
NEED_CALIBRATION = ("int8", "int16x8", "auto")


def present(path: Path | None, what: str) -> None:
    """Say at once that a file that was asked for is missing: the libraries take seconds to load."""
    try:
        missing = path is not None and not path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be read
        raise click.ClickException(f"The {what} '{path}' cannot be read: {error}. Check the path.") from error
    if missing:
        raise click.ClickException(f"There is no {what} '{path}'. Check the path.")


def artifact(path: Path, parameter: str) -> None:
    """Check that the suffix names a format."""
    if path.suffix not in QUANTIZE:
        raise click.BadParameter(
            f"'{path}' names no format: its suffix must be one of {', '.join(QUANTIZE)}.", param_hint=f"'{parameter}'"
        )


def export_options(
    model: Path, outs: Sequence[Path], quantize: str | None, calibration: Path | None, opset: int | None
) -> None:
    """Check the targets and the options of an export against each other."""
    for out in outs:
        artifact(out, "OUT")
        if quantize and quantize not in QUANTIZE[out.suffix]:
            has = ", ".join(QUANTIZE[out.suffix]) or "no quantized mode"
            raise click.UsageError(f"--quantize {quantize} does not exist for {out.suffix} ('{out}'); it has {has}.")
    distinct(model, outs)
    if quantize in NEED_CALIBRATION and calibration is None:
        raise click.UsageError(f"--quantize {quantize} needs --calibration FILE.npz with typical inputs.")
    if calibration is not None and quantize is None:
        raise click.UsageError(f"--calibration goes with --quantize {', '.join(MODES)} only.")
    if opset is not None and all(out.suffix != ".onnx" for out in outs):
        raise click.UsageError("--opset is for .onnx, and no OUT ends in .onnx.")


def with_data(data: Path | None, given: Mapping[str, object]) -> None:
    """Refuse options that work on `--data` without it. `given` maps each option to its value."""
    for option, value in given.items():
        if value is not None and data is None:
            raise click.UsageError(f"{option} goes with --data FILE.npz only.")


def tflite_only(outs: Sequence[Path], given: Mapping[str, object]) -> None:
    """Refuse options for .tflite files where no target is one. `given` maps each option to its value."""
    _only(".tflite", outs, given)


def onnx_only(outs: Sequence[Path], given: Mapping[str, object]) -> None:
    """Refuse options for .onnx files where no target is one. `given` maps each option to its value."""
    _only(".onnx", outs, given)


def _only(suffix: str, outs: Sequence[Path], given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value and all(out.suffix != suffix for out in outs):
            raise click.UsageError(f"{option} is for {suffix}, and no OUT ends in {suffix}.")


def distinct(model: Path, outs: Sequence[Path]) -> None:
    """Check that no target is written twice, nor over the model it is made from."""
    seen = {_behind_links(model): "MODEL"}
    for out in outs:
        place = _behind_links(out)
        if place in seen:
            what = "is MODEL itself" if seen[place] == "MODEL" else "stands there twice"
            raise click.BadParameter(f"'{out}' {what}. Give every target a path of its own.", param_hint="'OUT'")
        seen[place] = "OUT"


def _behind_links(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the second up to Python 3.12, where a link leads to itself
        reason = error.strerror if isinstance(error, OSError) else "it is a link that leads to itself"
        raise click.ClickException(f"'{path}' leads nowhere: {reason}. Give another path.") from error


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    if not path.is_file():
        raise click.ClickException(f"There is no file '{path}'. Write one with a name a line.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"'{path}' cannot be read as text in UTF-8. Write a name a line.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
