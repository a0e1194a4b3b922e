"""Look at the values of tensors while a float TFLite file runs on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ....model.user_inputs import Arrays
from ..interpreter import open_interpreter


def watch(
    flatbuffer: bytes,
    batches: Iterable[Arrays],
    tensors: Iterable[int],
    see: Callable[[int, np.ndarray], None],
    inputs: Sequence[int] | None = None,
) -> None:
    """Run every batch and call `see(tensor, values)` for each of `tensors` after it.

    `inputs` are the file's, in the order of a batch; if None, as the names that the converter gives them say.
    """
    interpreter = open_interpreter(flatbuffer, threads=2, preserve=True)
    inputs = _input_order(interpreter) if inputs is None else inputs
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
            with suppress(ValueError):  # a tensor that a loop only passes through has no data of its own
                see(tensor, interpreter.get_tensor(tensor))


def _input_order(interpreter: Interpreter) -> list[int]:
    """Indices of the inputs in the order of the model's: the converter's signature names them by their positions."""
    key = next(iter(interpreter.get_signature_list()))
    details = interpreter.get_signature_runner(key).get_input_details()
    return [details[name]["index"] for name in sorted(details)]
