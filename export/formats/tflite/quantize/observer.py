"""Watch tensors of a float TFLite file while it runs on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ....model.user_inputs import Arrays


def watch(
    flatbuffer: bytes, batches: Iterable[Arrays], tensors: Iterable[int], see: Callable[[int, np.ndarray], None]
) -> None:
    """Run every batch and call `see(tensor, values)` for each of `tensors` after it."""
    interpreter = Interpreter(model_content=flatbuffer, num_threads=2, experimental_preserve_all_tensors=True)
    runner = interpreter.get_signature_list()
    inputs = _input_order(interpreter, runner)
    wanted, shapes = list(tensors), None
    for batch in batches:
        if shapes != [array.shape for array in batch]:
            shapes = [array.shape for array in batch]
            for index, array in zip(inputs, batch, strict=True):
                interpreter.resize_tensor_input(index, array.shape, strict=False)
            interpreter.allocate_tensors()
        for index, array in zip(inputs, batch, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        for tensor in wanted:
            with suppress(ValueError):  # what a loop takes, leaves as it is and gives back has no data of its own
                see(tensor, interpreter.get_tensor(tensor))


def _input_order(interpreter: Interpreter, signatures: dict) -> list[int]:
    """Indices of the inputs in the order of the traced model's: they are named by their positions."""
    key = next(iter(signatures))
    details = interpreter.get_signature_runner(key).get_input_details()
    return [details[name]["index"] for name in sorted(details)]
