"""`keras-norms fold`: a model file without the norms that fold."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments, tables
from ..model_file import ModelFile, model_options
from ..session import session
from .common_options import PATH, json_option, traceback_option


@click.command(short_help="Fold the batch norms, save a Keras model.")
@model_options()
@click.argument("out", type=PATH, metavar="OUT.keras")
@click.option("--inputs", type=PATH, metavar="FILE.npz", help="Inputs to compare on, instead of random ones.")
@json_option
@traceback_option
def fold(model: ModelFile, out: Path, inputs: Path | None, as_json: bool, show_traceback: bool) -> None:
    """Fold the batch norms of MODEL into its weights and save the result as OUT.keras."""
    if out.suffix != ".keras":
        raise click.BadParameter(f"'{out}' must end in .keras.", param_hint="'OUT.keras'")
    arguments.distinct(model.path, [out])
    model.check()
    arguments.present(inputs, "file")
    with session(show_traceback) as terminal:
        with terminal.status(f"folding {model.path}"):
            from keras_norms.export import fold as fold_model
            from keras_norms.export.artifact.atomic_write import atomic_write, check_writable
            from keras_norms.export.model.signature import signature
            from keras_norms.export.model.user_inputs import as_the_model_takes_them

            check_writable(out)
            loaded = model.load()
            given = None if inputs is None else as_the_model_takes_them(inputs, signature(loaded))
            folded, report = fold_model(loaded, inputs=given)
            with atomic_write(out) as partial:
                folded.save(partial)
        if as_json:
            terminal.json({"path": str(out), **report.to_dict()})
        else:
            tables.fold(terminal, report)
            terminal.line(f"Wrote {out}.")
