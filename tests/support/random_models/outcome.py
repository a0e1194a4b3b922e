"""What becomes of one model in one format: a right file, a wrong one, a refusal, or a crash."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
from keras_norms.export import ExportError, VerificationError, pipeline, to_onnx, to_tflite

from .judge import Expected, judge
from .recipe import Recipe

FORMATS: dict[str, Callable[..., Any]] = {"tflite": to_tflite, "onnx": to_onnx}
RIGHT, WRONG, REFUSED, FALSELY_REFUSED, CRASH = "right", "wrong file", "refused", "refused a right file", "crash"


@dataclass(frozen=True)
class Outcome:
    """`kind` groups refusals of one cause; `judged` is what is wrong with the file that was written or refused."""

    seed: int
    format: str
    outcome: str
    kind: str = ""
    message: str = ""
    judged: str | None = None
    seconds: float = 0.0

    def like(self, other: Outcome) -> bool:
        return (self.outcome, self.kind) == (other.outcome, other.kind)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def outcome(recipe: Recipe, format_name: str, built: tuple[keras.Model, Expected] | None = None) -> Outcome:
    """Export the model of `recipe`, and judge the file, also one that the package makes and then refuses."""
    model, expected = built or built_from(recipe)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="random-") as folder:
        path, kept = Path(folder) / f"m.{format_name}", Path(folder) / f"refused.{format_name}"
        said, kind, message = _export(model, recipe, format_name, path, kept)
        seconds = round(time.perf_counter() - begin, 2)
        file = path if path.is_file() else kept if kept.is_file() else None
        judged = "no file" if file is None else judge(file, expected)
    if said == RIGHT and judged is not None:
        said, kind, message = WRONG, "wrong file", judged
    if said == REFUSED and judged is None:
        said = FALSELY_REFUSED
    return Outcome(recipe.seed, format_name, said, kind, message, judged, seconds)


def for_format(recipe: Recipe, format_name: str) -> Recipe:
    """The recipe, with a fixed batch where TFLite needs one: its loops have no free sizes inside."""
    recurrent = any(re.search(r"LSTM|GRU|RNN", f"{step.made} {step.arguments}") for step in recipe.steps)
    fixed = any(entry.batch for entry in recipe.inputs) or recipe.batch_size
    return replace(recipe, batch_size=2) if format_name == "tflite" and recurrent and not fixed else recipe


def built_from(recipe: Recipe) -> tuple[keras.Model, Expected]:
    model = recipe.build()
    return model, Expected.of(recipe, model)


def _export(model: keras.Model, recipe: Recipe, format_name: str, path: Path, kept: Path) -> tuple[str, str, str]:
    """The outcome, its kind and the message."""
    try:
        with _keeping_the_file(kept):
            FORMATS[format_name](model, path, batch_size=recipe.batch_size)
    except (ExportError, VerificationError) as error:
        return REFUSED, kind_of(error), str(error)
    except Exception as error:  # none of these should reach a user
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {str(error)[:500]} (in {Path(where.filename).name}, {where.name})"
        return CRASH, f"{type(error).__name__} in {where.name}", text
    return RIGHT, "", ""


@contextmanager
def _keeping_the_file(kept: Path) -> Iterator[None]:
    """Within the block the file that was made is copied before the package judges it."""
    original = pipeline.judge

    def judging(*arguments: Any, **options: Any) -> Any:
        place = next(x for x in arguments if hasattr(x, "artifact"))
        shutil.copyfile(place.artifact, kept)
        return original(*arguments, **options)

    pipeline.judge = judging
    try:
        yield
    finally:
        pipeline.judge = original


def kind_of(error: Exception) -> str:
    """The message of a refusal without the names and numbers of one model."""
    text = str(error).partition("does not reproduce its model. ")[2] or str(error)
    text = re.sub(r"'[^']*'", "'...'", text.splitlines()[0])
    text = re.sub(r"\b\w+_x?\d+(/\w+)*\b", "...", text)
    text = re.sub(r"-?\b\d[\d.,]*(e[+-]?\d+)?\b", "#", text)
    return f"{type(error).__name__}: {text[:160]}"
