"""The commands, a file each: what they take, in which order they work, what they print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..signals import leave_if_told
from ..version_text import tell_versions
from ..visible import visible
from .check_models import check
from .doctor import doctor
from .export_model import export
from .fold_model import fold
from .inspect_model import inspect
from .lint_artifact import lint
from .run_demo import demo
from .upgrade_model import upgrade
from .verify_artifact import verify

COMMANDS = (inspect, fold, export, verify, check, lint, upgrade, doctor, demo)


class VisibleErrors(click.Group):
    """Errors often repeat a name from a file or from the command line; they are shown in visible characters."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _visibly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _visibly():
            return super().invoke(ctx)


@contextmanager
def _visibly() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        leave_if_told()  # a library may have made an error of its own of the signal's exception
        error.message = visible(error.message)  # type: ignore[misc]  # final for click itself
        raise


@click.group(
    cls=VisibleErrors,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 refused or mismatched, 2 wrong usage.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=tell_versions,
    help="Show the versions of keras-norms and of what it exports and verifies with.",
)
def cli() -> None:
    """Fold the norms of a Keras model; export it to TFLite and ONNX, verified.

    MODEL is a .keras or .h5 file of any Keras, or a SavedModel. It is never changed, and no code in it is run without
    --unsafe.
    """


for command in COMMANDS:
    cli.add_command(command)
