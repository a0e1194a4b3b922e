"""Reports as tables: one function for each command, which reads the fields of its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .terminal import Terminal

if TYPE_CHECKING:  # importing them imports Keras
    from keras_norms.export import DelegateReport, ExportReport, FoldReport, VerifyReport
    from keras_norms.export.report.layer_trace import LayerTrace

    from keras_norms import NormReport

    from .model_summary import ModelSummary


def summary(terminal: Terminal, found: ModelSummary) -> None:
    inputs = ", ".join(f"{i.name} {_shape(i.shape)} {i.dtype}" for i in found.inputs)
    terminal.line(f"{found.path}: {found.kind} '{found.name}'")
    terminal.line(f"  in   {inputs}")
    terminal.line(f"  out  {', '.join(found.outputs)}")
    terminal.line(f"  {_count(found.layers, 'layer')}, {_count(found.parameters, 'parameter')}")
    terminal.line()
    if found.refused:
        terminal.line(f"Nothing would fold: {found.refused}")
        return
    if not found.norms:
        terminal.line("It has no norms.")
        return
    folds = [norm for norm in found.norms if norm.folds]
    stays = [norm for norm in found.norms if not norm.folds]
    terminal.line(f"{len(folds)} of {len(found.norms)} norms would fold.")
    if folds:
        rows = [[norm.norm, norm.kind, ", ".join(norm.into), norm.rule] for norm in folds]
        terminal.table("Would fold", ["norm", "kind", "into", "rule"], rows)
    if stays:
        terminal.table("Would stay", ["norm", "kind", "why"], [[n.norm, n.kind, n.reason] for n in stays])
    for note in found.notes:
        terminal.line(f"  note: {note}")


def statistics(terminal: Terminal, report: NormReport) -> None:
    samples, batches = _count(report.samples, "sample"), _count(report.batches, "batch", "batches")
    terminal.line()
    terminal.table(f"On {samples} in {batches}", report.HEADER, [norm.row() for norm in report.norms])
    for norm in report.norms:
        for problem in norm.float16:
            terminal.line(f"  {norm.norm} in float16: {problem}")


def fold(terminal: Terminal, report: FoldReport) -> None:
    terminal.line(_fold_line(report))
    if report.folded:
        rows = [[f.norm, ", ".join(f.into), f.rule, _error(f.error)] for f in report.folded]
        terminal.table("Folded", ["norm", "into", "rule", "error"], rows)
    if report.tails:
        rows = [[t.norm, ", ".join(t.into), _error(t.error)] for t in report.tails]
        terminal.table("Gamma and beta folded", ["norm", "into", "error"], rows)
    _kept(terminal, report)
    for note in report.notes:
        terminal.line(f"  note: {note}")


def export(terminal: Terminal, report: ExportReport, first: bool) -> None:
    """One export. The model and its fold are the same for every target, so they are shown with the first only."""
    if first and report.origin:
        terminal.line(report.origin)
    if first and report.fold is not None:
        terminal.line(_fold_line(report.fold))
        _kept(terminal, report.fold)
    ops = sorted(report.ops.items(), key=lambda item: (-item[1], item[0]))
    terminal.line()
    size = f"{report.size_bytes:,} bytes, {_count(sum(report.ops.values()), 'operation')}"
    terminal.line(f"Wrote {report.path}: {report.format}, {size}")
    terminal.line(f"  {', '.join(f'{count} {name}' for name, count in ops)}")
    if report.in_float:
        terminal.line(f"  weights in float: {report.weights_in_float}")
    if report.xnnpack:
        terminal.line(f"  {report.xnnpack}")
    for chip in report.chips:
        terminal.line("  " + str(chip).replace("\n", "\n  "))
    if report.budget:
        terminal.line(f"  {report.budget.title}")
        terminal.table("Files of several sizes", report.budget.FILES, report.budget.points())
        if report.budget.weights:
            terminal.table("Weights", report.budget.HEADER, report.budget.rows())
    if report.certificate:
        terminal.line(f"  certificate: {report.certificate}")
    for warning in report.warnings:
        terminal.line(f"  warning: {warning}")
    _outputs(terminal, report.verification, f"Verified on inputs: {'; '.join(report.verification.cases)}")


def verify(terminal: Terminal, report: VerifyReport) -> None:
    terminal.line(f"{report.path} {report.verdict()}{'.' if report.ok else ''}")
    header, rows = report.rows()
    terminal.table("Compared with the model", header, rows)
    for reason in report.skipped:
        terminal.line(f"  not judged: {reason}")
    if report.certificate:
        terminal.line(f"  {report.certificate.path}: {_count(report.certificate.compared, 'figure')} measured again")
        for note in report.certificate.notes:
            terminal.line(f"  {note}")
    for key in sorted(report.metadata):
        terminal.line(f"  {key}: {report.metadata[key]}")


def trace(terminal: Terminal, found: LayerTrace) -> None:
    terminal.line()
    if found.problem is not None:
        terminal.line(f"  warning: {str(found)[0].lower()}{str(found)[1:]}")
        return
    terminal.table(found.title, found.HEADER, found.rows())


def lint(terminal: Terminal, report: DelegateReport) -> None:
    terminal.lines(str(report).split("\n"))


def _outputs(terminal: Terminal, report: VerifyReport, title: str) -> None:
    rows = [
        [name, f"{output.max_abs:.1e}", f"{output.relative:.1e}", f"{output.sqnr_db:.0f}"]
        for name, output in report.outputs.items()
    ]
    terminal.table(title, ["output", "max error", "relative", "SQNR, dB"], rows)


def _fold_line(report: FoldReport) -> str:
    total = len(report.folded) + len(report.kept)
    line = f"{len(report.folded)} of {total} batch norms folded" if total else "There are no batch norms to fold"
    if report.parameters_after != report.parameters_before:
        line += f"; {report.parameters_before:,} -> {report.parameters_after:,} parameters"
    if report.multiply_adds_saved:
        line += f"; {report.multiply_adds_saved:,} multiply-adds a sample saved"
    return f"{line}."


def _kept(terminal: Terminal, report: FoldReport) -> None:
    if report.kept:
        terminal.table("Kept", ["norm", "why"], [[k.norm, k.reason] for k in report.kept])


def _count(number: int, what: str, several: str | None = None) -> str:
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _shape(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
