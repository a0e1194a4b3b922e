"""The report and the certificate of an artifact that reproduces its model; an error for one that does not."""

from __future__ import annotations

from typing import Any

from ..artifact.hashes import array_records
from ..errors import VerificationError
from ..loading.loaded import load_report
from ..model.keras_graph import layers_below
from ..quantization.budget import AUTO
from ..report.export_report import ExportReport
from ..report.unquantized import Unquantized, in_words
from ..report.verify_report import VerifyReport
from ..verification.certificate import certificate_path, write_certificate
from .make import Made
from .place import Place
from .prepare import Prepared
from .request import Request


def publish(prepared: Prepared, made: Made, verification: VerifyReport, request: Request, place: Place) -> ExportReport:
    """The report of a verified artifact, which takes its final place when `place` is left.

    Raises:
        VerificationError: If the artifact does not reproduce its model; nothing takes its place then.
    """
    form = request.format
    if not verification.ok:
        error = VerificationError(
            f"'{request.path}' was not written: the {form.name} file does not reproduce its model. "
            f"{verification.failure()}"
        )
        error.trace = verification.trace
        raise error
    in_float = _in_float(prepared, request, place)
    report = ExportReport(
        path=request.path,
        format=form.name,
        size_bytes=sum(file.stat().st_size for file in place.artifact.parent.iterdir()),  # with weights beside it
        ops=form.op_counts(place.artifact),
        fold=prepared.fold_report,
        verification=verification,
        warnings=prepared.warnings + made.warnings + _late_warnings(request, place, in_float),
        certificate=certificate_path(request.path) if request.certificate else None,
        xnnpack=form.delegate_report(place.artifact, request.options, prepared.facts.layer_names),
        chips=form.chip_reports(place.artifact, request.options, prepared.facts.layer_names),
        loaded=load_report(prepared.facts.model),
        in_float=in_float,
    )
    if place.certificate is not None:
        options = _plain_options(request, prepared)
        write_certificate(place.certificate, place.artifact, prepared.facts, report, options)
    return report


def _in_float(prepared: Prepared, request: Request, place: Place) -> tuple[Unquantized, ...]:
    """The layers with weights whose weights are not quantized; of a budget, the report has the bits of every weight."""
    if request.mode is None or request.mode.name == AUTO:
        return ()
    facts = prepared.folded
    found = request.format.unquantized(place.artifact, request.mode.name, facts.layer_names)
    weighted = {layer.name for layer in layers_below(facts.model) if layer.weights}
    return tuple(one for one in found if one.layer.rpartition("/")[2] in weighted)


def _late_warnings(request: Request, place: Place, in_float: tuple[Unquantized, ...]) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if request.mode and request.format.quantized_as(place.artifact) is None:
        found += (f"nothing was quantized: {in_words(in_float) or 'no layer has weights'}",)
    beside = certificate_path(request.path)
    if not request.certificate and beside.is_file():
        found += (f"'{beside}' is the certificate of the file that was there before",)
    return found


def _plain_options(request: Request, prepared: Prepared) -> dict[str, Any]:
    """The options as plain data, with calibration data and inputs by their hashes."""
    plain = request.options.to_dict()
    if prepared.calibration is not None:
        plain["calibration"] = array_records(prepared.calibration)
    if request.inputs is not None:
        plain["inputs"] = [array_records(arrays) for name, arrays in prepared.given if name != "calibration"]
    return {**plain, "labels": prepared.labels}
