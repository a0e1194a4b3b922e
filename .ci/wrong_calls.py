"""Calls that a type checker must reject: where mypy calls an `ignore` unused, it no longer sees the error."""

from keras_norms.export import fold, to_tflite

from keras_norms import GroupNormalization, RenormSchedule

fold(1, standalone="dense")  # type: ignore[arg-type]
to_tflite("model.keras", "model.tflite", batch_size="one")  # type: ignore[arg-type]
to_tflite("model.keras", "model.tflite", quantise="int8")  # type: ignore[call-arg]
to_tflite("model.keras", "model.tflite", quantize="int4")  # type: ignore[arg-type]
to_tflite("model.keras", "model.tflite", target="tpu")  # type: ignore[arg-type]
GroupNormalization(groups="three")  # type: ignore[arg-type]
GroupNormalization(axsi=1)  # type: ignore[call-arg]
RenormSchedule(r_max="a")  # type: ignore[arg-type]
