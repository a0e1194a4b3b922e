"""What a user calls: `to_tflite` and `to_onnx`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import keras

from .artifact.metadata import Labels
from .formats.tflite.chips.c_array import header
from .options import IoDtype, Layout, Norms, OnnxOptions, OnnxQuantization, Target, TFLiteOptions, TFLiteQuantization
from .pipeline import export
from .pipeline.request import Request
from .progress import Progress
from .report.export_report import ExportReport


def to_tflite(
    model: keras.Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    quantize: TFLiteQuantization | None = None,
    calibration: Any = None,
    max_bytes: int | None = None,
    min_db: float | None = None,
    inputs: Any = None,
    batch_size: int | None = None,
    fold: bool = True,
    tolerance: float | None = None,
    io_dtype: IoDtype | None = None,
    target: Target | None = None,
    allow_flex: bool = False,
    labels: Labels | None = None,
    certificate: bool = False,
    trace: bool = False,
    c_array: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `model` as a TFLite (LiteRT) file that is proven to reproduce it, or write nothing.

    Batch norms are folded, other norms become few static operations, only builtin operations are used, inputs and
    outputs keep Keras' names and order.

    Args:
        model: a Keras model, or the path of a file that `load` reads. It is not changed.
        path: where to write; must end in `.tflite`. A file that is there is replaced only by a verified one.
        quantize: None for float32; "float16" (weights), "dynamic" (8-bit weights, activations as they come), "int8"
            or "int16x8" (activations too, by calibration). Norms stay in float in "int8"; where they do not fold,
            calibrated "dynamic" is the faster and more exact mode on processors. "auto" gives each weight 32, 16, 8 or
            4 bits, by what it costs in exactness, within `max_bytes` and `min_db`; all arithmetic but that of 4 bits
            is in float32. It tries the other modes too, and writes one of them where that is better: `report.budget`.
        calibration: typical inputs for "int8", "int16x8" and "auto", and for "dynamic" if you like, whose weights are
            then rounded for what the layers get; an array, a list or dict of arrays, an .npz file, or an iterable of
            batches of these, such as a generator or a tf.data dataset, of which the first 512 examples are read. A
            quantized file is judged on all of it, in every mode.
        max_bytes: for "auto": the most bytes that the file may have. The most exact file below is written.
        min_db: for "auto": the least signal to noise ratio of any output on the calibration data, in decibels: 20 is an
            error of a tenth of the output's root mean square, 40 of a hundredth. The smallest file above is written.
        inputs: what to compare the file on besides the inputs that are drawn, in any form that `calibration` may have.
            Every row is compared. Free sizes of the inputs that are drawn are as in these, so it also serves models
            for which no size is found.
        batch_size: fixes the batch dimension; None leaves it free.
        fold: merge batch norms into their neighbours first, and gamma and beta of other norms into the layers behind
            them where that helps: in floats and in "int8", but not for chips.
        tolerance: the largest error allowed, as a share of each output's max |y|: the law on random and given inputs.
            If None, 1e-4 in float32, or 8 times what rounding does to the model itself, and in a quantized file the
            signal to noise ratio of the mode in `quantization.MODES`.
        io_dtype: "int8" makes the inputs and outputs of an "int8" file 8-bit integers, with the scales and zero points
            that the file states; float32 if None. Those of a file for a chip have integers anyway, and with "int8" 8
            bits round 16 bits within.
        target: "gpu" for delegates that compute in half precision: norms in a form that neither overflows nor loses
            epsilon there, at twice the passes over memory. "npu", with a batch size, for chips that compute in integers
            alone, such as Arm's Ethos-U: norms too, in 16 bits, and inputs and outputs of 16 bits in "int16x8", the
            more exact mode, of 8 in "int8". "micro", with a batch size, for TFLite Micro on microcontrollers: only what
            it has kernels for, in float32, or quantized in integers throughout as for an NPU. Where they are installed
            (extras `npu` and `micro`), Arm's compiler and TFLite Micro are asked, and the file is verified in the
            latter too. None for processors.
        allow_flex: let TensorFlow's own kernels serve what TFLite has no builtin operation for. The app must then link
            the Flex delegate; LiteRT's interpreters refuse such a file as they are.
        labels: the names of the classes of the only output, or a dict of them by output; kept in the file's metadata,
            and as the text file of TFLite Metadata that Android's Task Library and MediaPipe read.
        certificate: also write `path.json` (as in `model.tflite.json`): what was exported from what, by which versions,
            the inputs that were tried and every error measured. `verify` checks it again.
        trace: also measure every layer's error in the file, on `inputs`, else on the calibration data, else on random
            numbers: `report.trace`, a table, JSON, a plot, and node data for Model Explorer. The VerificationError of a
            file that was refused has it as `.trace`.
        c_array: also write the file as an array into this C header, for firmware to compile.
        progress: called with the name of each stage as it begins, and with how much of the calibration is done, as in
            "calibration examples run: 3 of 64".

    Raises:
        ExportError: If the model, the path or an option is of no use; the message says which and what to do.
        VerificationError: If the file that came out does not reproduce the model; it was not written then.

    Example:
        >>> import keras
        >>> from keras_norms.export import to_tflite
        >>> conv, norm = keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm])
        >>> report = to_tflite(model, "model.tflite")  # doctest: +SKIP
        >>> report.ops, report.verification.relative < 1e-4  # doctest: +SKIP
        ({'CONV_2D': 1}, True)
    """
    options = TFLiteOptions(
        batch_size=batch_size,
        fold=fold,
        tolerance=tolerance,
        quantize=quantize,
        max_bytes=max_bytes,
        min_db=min_db,
        io_dtype=io_dtype,
        target=target,
        allow_flex=allow_flex,
    )
    request = Request.of(
        path,
        ".tflite",
        options,
        calibration=calibration,
        inputs=inputs,
        labels=labels,
        certificate=certificate,
        progress=progress,
    )
    with header(c_array, request.path) as written:
        report = export(model, replace(request, trace=trace))
        written()
    return report


def to_onnx(
    model: keras.Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    opset: int | None = None,
    norms: Norms = "fast",
    layout: Layout = "keras",
    quantize: OnnxQuantization | None = None,
    calibration: Any = None,
    max_bytes: int | None = None,
    min_db: float | None = None,
    inputs: Any = None,
    batch_size: int | None = None,
    fold: bool = True,
    tolerance: float | None = None,
    labels: Labels | None = None,
    certificate: bool = False,
    trace: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `model` as an ONNX file that is proven to reproduce it, or write nothing.

    Batch norms are folded, other norms become few static operations, inputs and outputs keep Keras' names and order,
    and the file passes onnx's full check. Weights of more than 1.5 GB go to `path.data` beside it.

    Args:
        model: a Keras model, or the path of a file that `load` reads. It is not changed.
        path: where to write; must end in `.onnx`. A file that is there is replaced only by a verified one.
        opset: the version of the ONNX operator set, from 13; if None 18, or what `norms="standard"` needs.
        norms: "fast", the form that ONNX Runtime runs best, or "standard": each norm as the operator of its name
            (LayerNormalization from opset 17, GroupNormalization from 21, RMSNormalization from 23).
        layout: "keras", inputs and outputs as the model has them, or "nchw": images and volumes channels first, as
            the convolutions within are, which saves the transposes at both ends.
        quantize: None for float32; "float16", "dynamic" (8-bit weights, activations as they come), or "int8" (both
            in 8 bits, by calibration). Norms stay in float in every mode. "auto" gives each weight 32, 16, 8 or 4 bits
            within `max_bytes` and `min_db`, as in `to_tflite`, at opset 21 unless `opset` says otherwise; below that
            there are no 4 bits.
        calibration: typical inputs for "int8" and "auto"; an array, a list or dict of arrays, an .npz file, or an
            iterable of batches of these, such as a generator or a tf.data dataset, of which the first 512 examples are
            read. A quantized file is judged on all of it, in every mode.
        max_bytes, min_db: for "auto", as in `to_tflite`.
        inputs: what to compare the file on besides the inputs that are drawn, as in `to_tflite`.
        batch_size: fixes the batch dimension; None leaves it free.
        fold: merge batch norms into their neighbours first.
        tolerance: the largest error allowed, as a share of each output's max |y|, or None, as in `to_tflite`.
        labels: the names of the classes of the only output, or a dict of them by output; kept in the file's metadata.
        certificate: also write `path.json` (as in `model.tflite.json`): what was exported from what, by which versions,
            the inputs that were tried and every error measured. `verify` checks it again.
        trace: also measure every layer's error in the file, on `inputs`, else on the calibration data, else on random
            numbers: `report.trace`, a table, JSON, a plot, and node data for Model Explorer. The VerificationError of a
            file that was refused has it as `.trace`.
        progress: called with the name of each stage as it begins, and with how much of the calibration is done, as in
            "calibration examples run: 3 of 64".

    Raises:
        ExportError: If the model, the path or an option is of no use; the message says which and what to do.
        VerificationError: If the file that came out does not reproduce the model; it was not written then.

    Example:
        >>> import keras
        >>> from keras_norms.export import to_onnx
        >>> conv, norm = keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm])
        >>> to_onnx(model, "model.onnx", opset=17).verification.ok  # doctest: +SKIP
        True
    """
    options = OnnxOptions(
        batch_size=batch_size,
        fold=fold,
        tolerance=tolerance,
        quantize=quantize,
        max_bytes=max_bytes,
        min_db=min_db,
        opset=opset,
        norms=norms,
        layout=layout,
    )
    request = Request.of(
        path,
        ".onnx",
        options,
        calibration=calibration,
        inputs=inputs,
        labels=labels,
        certificate=certificate,
        progress=progress,
    )
    return export(model, replace(request, trace=trace))
