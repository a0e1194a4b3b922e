"""The commands: what they take, in which order they work, what they print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from . import arguments, tables
from .session import session
from .upgrade import upgrade

_PATH = click.Path(path_type=Path)
_MODES = sorted({mode for modes in arguments.QUANTIZE.values() for mode in modes})


def _traceback(function: Callable) -> Callable:
    return click.option(
        "--traceback", "show_traceback", is_flag=True, help="Show where an error came from, and what libraries print."
    )(function)


def _json(function: Callable) -> Callable:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")(function)


def _tolerance(function: Callable) -> Callable:
    return click.option(
        "--tolerance",
        type=click.FloatRange(min=0, min_open=True, max=1, max_open=True),
        metavar="X",
        help="Largest error to accept, relative to the largest value of the output.",
    )(function)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 refused or mismatched, 2 wrong usage.",
)
@click.version_option(package_name="keras-norms", prog_name="keras-norms")
def cli() -> None:
    """Fold the norms of a Keras model; export it to TFLite and ONNX, verified.

    MODEL is a .keras or legacy .h5 file. It is never changed, and no code in it is run.
    """


@cli.command(short_help="Show which norms would fold, and why others stay.")
@click.argument("model", type=_PATH)
@_json
@_traceback
def inspect(model: Path, as_json: bool, show_traceback: bool) -> None:
    """Show the norms of MODEL: which would fold into what, which stay and why."""
    arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {model}"):
            from .facts import facts

            found = facts(model)
        if as_json:
            terminal.json(found)
        else:
            tables.facts(terminal, found)


@cli.command(short_help="Fold the batch norms, save a Keras model.")
@click.argument("model", type=_PATH)
@click.argument("out", type=_PATH, metavar="OUT.keras")
@_json
@_traceback
def fold(model: Path, out: Path, as_json: bool, show_traceback: bool) -> None:
    """Fold the batch norms of MODEL into its weights and save the result as OUT.keras."""
    if out.suffix != ".keras":
        raise click.BadParameter(f"'{out}' must end in .keras.", param_hint="'OUT.keras'")
    arguments.distinct(model, [out])
    arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        with terminal.status(f"folding {model}"):
            from keras_norms.export import fold as fold_model
            from keras_norms.export.artifact.atomic_write import atomic_write, check_writable
            from keras_norms.export.loading.load_model import load_model

            check_writable(out)
            folded, report = fold_model(load_model(model))
            with atomic_write(out) as partial:
                folded.save(partial)
        if as_json:
            terminal.json({"path": str(out), **report.to_dict()})
        else:
            tables.fold(terminal, report)
            terminal.line(f"Wrote {out}.")


@cli.command(short_help="Write .tflite and .onnx files, verified.")
@click.argument("model", type=_PATH)
@click.argument("outs", type=_PATH, nargs=-1, required=True, metavar="OUT [OUT ...]")
@click.option("--quantize", type=click.Choice(_MODES), help="Store or compute in fewer bits.")
@click.option("--calibration", type=_PATH, metavar="FILE.npz", help="Typical inputs, for int8, int16x8 and dynamic.")
@click.option("--io-dtype", type=click.Choice(["float32", "int8"]), help="What an int8 .tflite file takes and gives.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Fix the batch dimension.  [default: free]")
@click.option("--opset", type=click.IntRange(min=1), metavar="N", help="The opset of .onnx files.")
@click.option(
    "--norms", type=click.Choice(["fast", "standard"]), help="Norms in .onnx files: fast, or one operator each."
)
@click.option("--layout", type=click.Choice(["keras", "nchw"]), help="Inputs and outputs of .onnx files.")
@click.option("--no-fold", is_flag=True, help="Leave every norm as it is.")
@click.option("--target", type=click.Choice(["gpu"]), help="Norms that half precision suits, for .tflite.")
@click.option("--allow-flex", is_flag=True, help="Let TensorFlow's kernels serve what TFLite has not, for .tflite.")
@click.option("--labels", type=_PATH, metavar="FILE.txt", help="Names of the classes, a line each, kept in the file.")
@click.option("--certificate", is_flag=True, help="Write OUT.json too: hashes, versions, inputs tried, every error.")
@_tolerance
@_json
@_traceback
def export(
    model: Path,
    outs: tuple[Path, ...],
    quantize: str | None,
    calibration: Path | None,
    io_dtype: str | None,
    batch_size: int | None,
    opset: int | None,
    norms: str | None,
    layout: str | None,
    no_fold: bool,
    target: str | None,
    allow_flex: bool,
    labels: Path | None,
    certificate: bool,
    tolerance: float | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Write MODEL as each OUT: .tflite or .onnx.

    The norms are folded first. A file appears only when the real runtime computes from it what the model does.
    """
    arguments.export_options(model, outs, quantize, calibration, opset)
    arguments.onnx_only(outs, {"--norms": norms, "--layout": layout})
    arguments.tflite_only(outs, {"--io-dtype": io_dtype, "--target": target, "--allow-flex": allow_flex})
    if io_dtype == "int8" and quantize != "int8":
        raise click.UsageError("--io-dtype int8 goes with --quantize int8 only.")
    if certificate:
        arguments.distinct(model, [path for out in outs for path in (out, out.with_name(f"{out.name}.json"))])
    arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        from keras_norms.export import to_onnx, to_tflite
        from keras_norms.export.artifact.atomic_write import check_writable
        from keras_norms.export.loading.load_model import load_model
        from keras_norms.export.model.signature import signature

        for out in outs:
            check_writable(out)
        with terminal.status(f"reading {model}"):
            loaded = load_model(model)
        options: dict[str, Any] = {
            "quantize": quantize,
            "batch_size": batch_size,
            "fold": not no_fold,
            "tolerance": tolerance,
            "certificate": certificate,
            "labels": arguments.lines(labels) if labels else None,
        }
        if calibration is not None:
            names = [spec.name for spec in signature(loaded).inputs]
            options["calibration"] = arguments.arrays(calibration, names)
        reports = []
        for out in outs:
            with terminal.status(f"{out}: starting") as update:
                options["progress"] = lambda stage, out=out, update=update: update(f"{out}: {stage}")
                if out.suffix == ".onnx":
                    reports.append(
                        to_onnx(loaded, out, opset=opset, norms=norms or "fast", layout=layout or "keras", **options)
                    )
                else:
                    only = {"io_dtype": io_dtype, "target": target, "allow_flex": allow_flex}
                    reports.append(to_tflite(loaded, out, **only, **options))
            if not as_json:
                tables.export(terminal, reports[-1], first=len(reports) == 1)
        if as_json:
            terminal.json([report.to_dict() for report in reports])


@cli.command(short_help="Compare a .tflite or .onnx file with its model.")
@click.argument("model", type=_PATH)
@click.argument("artifact", type=_PATH)
@click.option("--inputs", type=_PATH, metavar="FILE.npz", help="Inputs to compare on, besides the built-in ones.")
@_tolerance
@_json
@_traceback
def verify(
    model: Path, artifact: Path, inputs: Path | None, tolerance: float | None, as_json: bool, show_traceback: bool
) -> None:
    """Run ARTIFACT (.tflite or .onnx) in its runtime and compare it with MODEL."""
    arguments.artifact(artifact, "ARTIFACT")
    arguments.present(model, "model file")
    arguments.present(artifact, "artifact")
    with session(show_traceback) as terminal:
        with terminal.status(f"comparing {artifact} with {model}"):
            from keras_norms.export import verify as verify_artifact
            from keras_norms.export.loading.load_model import load_model
            from keras_norms.export.model.signature import signature

            loaded = load_model(model)
            given = arguments.arrays(inputs, [spec.name for spec in signature(loaded).inputs]) if inputs else None
            report = verify_artifact(loaded, artifact, inputs=given, tolerance=tolerance)
        if as_json:
            terminal.json(report.to_dict())
        else:
            tables.verify(terminal, report)
        if not report.ok:
            raise click.exceptions.Exit(1)


@cli.command(short_help="Say what delegates take of a .tflite file.")
@click.argument("artifact", type=_PATH)
@click.option("--model", type=_PATH, metavar="MODEL", help="The model it is made from, for its layers' exact names.")
@click.option("--calibration", type=_PATH, metavar="FILE.npz", help="Typical inputs, to emulate half precision on.")
@_json
@_traceback
def lint(artifact: Path, model: Path | None, calibration: Path | None, as_json: bool, show_traceback: bool) -> None:
    """Say what XNNPACK takes of ARTIFACT (.tflite) and what a GPU or NPU would reject or compute badly, and why.

    Ends with 1 if there is a finding.
    """
    if artifact.suffix != ".tflite":
        raise click.BadParameter(f"'{artifact}' must end in .tflite.", param_hint="'ARTIFACT'")
    arguments.present(artifact, "artifact")
    if model is not None:
        arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        with terminal.status(f"looking at {artifact}"):
            from keras_norms.export import lint as lint_artifact
            from keras_norms.export.formats import target_of

            given = None
            if calibration is not None:
                runner = next(iter(target_of(artifact).runners(artifact).values()))
                given = arguments.arrays(calibration, [spec.name for spec in runner.inputs])
            report = lint_artifact(artifact, model=model, calibration=given)
        if as_json:
            terminal.json(report.to_dict())
        else:
            tables.lint(terminal, report)
        if not report.ok:
            raise click.exceptions.Exit(1)


@cli.command(short_help="Train, export and time a small network; write a report.")
@click.option("--out", type=_PATH, metavar="DIR", default=Path("keras-norms-demo"), show_default=True)
@click.option(
    "--quick", is_flag=True, help="Train for seconds only: the figures mean nothing, the files are all there."
)
@_traceback
def demo(out: Path, quick: bool, show_traceback: bool) -> None:
    """Train on scanned digits with four norms, export, verify, time; write a report.

    Takes up to four minutes. DIR gets the models, demo.json and report.html.
    """
    with session(show_traceback) as terminal:
        from keras_norms.export.demo import run

        run(out, terminal, quick=quick)


cli.add_command(upgrade)
