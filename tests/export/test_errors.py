"""The one line that a person is told of a library's exception."""

import keras
import numpy as np
import pytest
from keras_norms.export.errors import kind_and_reason, reason_of

CALLING = (
    "Exception encountered when calling Net.call().\n\n\x1b[1m{}\x1b[0m\n\nArguments received by Net.call():\n  • x=3"
)
SYMBOLIC = "Could not automatically infer the output shape / dtype of 'net' (of type Net). Either the `Net.call()` ..."
STACK = 'in user code:\n\n    File "net.py", line 5, in call  *\n        raise {0}({1!r})\n\n    {0}: {1}\n'

# What is raised: what a person is told.
REASONS = {
    "a line": (ValueError("batches of 2 only"), "batches of 2 only"),
    "the first of two": (ValueError("batches of 2 only\nSee the manual.\n"), "batches of 2 only"),
    "after empty lines": (ValueError("\n  \n  batches of 2 only\n"), "batches of 2 only"),
    "no message": (MemoryError(), "MemoryError"),
    "spaces for a message": (ValueError(" \n "), "ValueError"),
    "colours": (ValueError("\x1b[31mred\x1b[0m and \x1b[1;34mblue\x1b[0m"), "red and blue"),
    "too long": (ValueError("a" * 999), "a" * 300),
    "a layer's error": (ValueError(CALLING.format("batches of 2 only")), "Net.call(): batches of 2 only"),
    "a layer's error of two lines": (ValueError(CALLING.format("one\ntwo")), "Net.call(): one"),
    "a layer's error without a message": (AssertionError(CALLING.format("")), "Net.call(): AssertionError"),
    "on symbolic tensors": (
        ValueError(f"{SYMBOLIC} Error encountered:\n\nbatches of 2 only\nSee."),
        "batches of 2 only",
    ),
    "on symbolic tensors, no message": (AssertionError(f"{SYMBOLIC} Error encountered:\n\n"), "AssertionError"),
    "on symbolic tensors, in a layer": (
        ValueError(f"{SYMBOLIC} Error encountered:\n\n{CALLING.format('2 only')}"),
        "Net.call(): 2 only",
    ),
    "from a config": (
        TypeError("<class 'Net'> could not be deserialized properly.\n\nconfig={}.\n\nException encountered: no size"),
        "no size",
    ),
    "behind TensorFlow's stack": (ValueError(STACK.format("ValueError", "batches of 2 only")), "batches of 2 only"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_is_the_line_that_a_person_needs(case):
    error, reason = REASONS[case]
    assert reason_of(error) == reason


def test_the_class_stands_in_front_unless_it_is_all_there_is():
    assert kind_and_reason(ValueError("2 only")) == "ValueError: 2 only"
    assert kind_and_reason(MemoryError()) == "MemoryError"
    assert kind_and_reason(RuntimeError("2 only"), "OtherError") == "OtherError: 2 only"
    assert kind_and_reason(RuntimeError("OtherError"), "OtherError") == "OtherError"


class Net(keras.Model):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def call(self, x):
        raise self.error


@pytest.mark.parametrize("call", [lambda net: net(np.ones((2, 3))), lambda net: net(keras.KerasTensor((2, 3)))])
@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("2 only\nSee."), "2 only"), (AssertionError(), "AssertionError")]
)
def test_the_reason_is_found_in_what_keras_makes_of_it(call, error, reason):
    with pytest.raises(type(error)) as raised:
        call(Net(error))
    assert reason_of(raised.value).removeprefix("Net.call(): ") == reason
