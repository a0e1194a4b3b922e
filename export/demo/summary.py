"""The three tables of the demo, the same on the terminal and on the page."""

from __future__ import annotations

from typing import NamedTuple

from .results import Record, Run


class Table(NamedTuple):
    title: str
    columns: list[str]
    rows: list[list[str]]


def accuracy(record: Record) -> Table:
    """One row for each norm, one column for each kind of batches."""
    return Table(
        f"Right out of {record.test_images} test images, %, after training",
        ["norm", *(recipe.batches for recipe in record.recipes)],
        [
            [norm, *(f"{100 * record.run(norm, size).test_accuracy[-1]:.1f}" for size in record.batch_sizes)]
            for norm in record.norms
        ],
    )


def exports(record: Record) -> Table:
    """One row for each file: norms folded, size, operations, error against the model, accuracy."""
    rows = [
        [
            artifact.report.path.name,
            f"{len(run.fold.folded)} of {run.norms}",
            f"{artifact.report.size_bytes / 1024:.1f}",
            str(sum(artifact.report.ops.values())),
            f"{artifact.report.verification.relative:.1e}",
            f"{100 * artifact.measured.accuracy:.1f}",
        ]
        for run in record.runs
        for artifact in run.artifacts.values()
    ]
    columns = ["file", "norms folded", "KiB", "operations", "error", "right, %"]
    return Table("Exported and verified; error is the largest found, relative to the largest output", columns, rows)


def times(record: Record) -> Table:
    """One row for each model."""
    return Table(
        "One image alone, microseconds: median over the test images, best of three passes",
        ["model", "Keras", "LiteRT", "ONNX Runtime"],
        [
            [
                name(run),
                f"{run.keras.image_us:.0f}",
                *(f"{run.artifacts[fmt].measured.image_us:.0f}" for fmt in ("tflite", "onnx")),
            ]
            for run in record.runs
        ],
    )


def name(run: Run) -> str:
    return f"{run.norm}, {run.batch_size}"
