"""Calls that a type checker must reject. An `ignore` that mypy calls unused here means that mypy no longer sees them."""

from keras_norms.export import fold, to_tflite

fold(1, "no second argument")  # type: ignore[call-arg]
to_tflite("model.keras", "model.tflite", batch_size="one")  # type: ignore[arg-type]
to_tflite("model.keras", "model.tflite", quantise="int8")  # type: ignore[call-arg]
