"""MODEL of the command line: a file of any Keras or a SavedModel, and how the user says that it is to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import arguments

if TYPE_CHECKING:  # importing it imports Keras
    import keras
    from keras_norms.export import LoadResult

_OPTIONS = (
    click.option("--signature", metavar="NAME", help="The function of a SavedModel to take as the model."),
    click.option(
        "--import",
        "user_file",
        type=click.Path(path_type=Path),
        metavar="FILE.py",
        help="Run this file of yours first; its classes and functions serve the model file.",
    ),
    click.option(
        "--unsafe", is_flag=True, help="Run the Python code that the model file holds. Only if you trust the file."
    ),
)


@dataclass(frozen=True)
class ModelFile:
    """The path, and what goes with it; nothing is read before `load`."""

    path: Path
    signature: str | None
    user_file: Path | None
    unsafe: bool

    @property
    def as_it_is(self) -> bool:
        """Whether nothing is said beside the path."""
        return self.signature is None and self.user_file is None and not self.unsafe

    def check(self) -> None:
        """Say at once that there is no such file.

        Raises:
            click.ClickException: If there is none.
        """
        arguments.present(self.path, "model file")

    def load(self) -> keras.Model:
        """The built model in the file."""
        from keras_norms.export.loading.load_model import load_model
        from keras_norms.export.loading.user_file import custom_objects

        return load_model(self.path, self.signature, custom_objects(self.user_file), self.unsafe)

    def load_with_report(self) -> LoadResult:
        """The model, and how it was read."""
        from keras_norms.export import load
        from keras_norms.export.loading.user_file import custom_objects

        own = custom_objects(self.user_file)
        return load(self.path, custom_objects=own, signature=self.signature, unsafe=self.unsafe)


def model_options(argument: str = "model") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the argument MODEL with its options; its function gets them as one `ModelFile`."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def call(signature: str | None, user_file: Path | None, unsafe: bool, **others: Any) -> None:
            function(**others | {argument: ModelFile(others[argument], signature, user_file, unsafe)})

        made: Callable[..., None] = call
        for option in reversed(_OPTIONS):
            made = option(made)
        return click.argument(argument, type=click.Path(path_type=Path))(made)

    return decorate
