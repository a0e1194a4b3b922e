"""The examples in the docstrings run, and every public docstring has its parts."""

import doctest
import inspect

import keras
import numpy as np
import pytest

import keras_norms
from keras_norms import callbacks

CALLBACKS = [v for v in vars(callbacks).values() if isinstance(v, type) and issubclass(v, keras.callbacks.Callback)]
PUBLIC = [getattr(keras_norms, name) for name in keras_norms.__all__] + CALLBACKS
# What functions return is shown in the example of the function.
SHOWN = [value for value in PUBLIC if not value.__name__.endswith(("Report", "Result"))]
LAYERS = [value for value in PUBLIC if isinstance(value, type) and issubclass(value, keras.layers.Layer)]
FUNCTIONS = [value for value in PUBLIC if inspect.isfunction(value)]


@pytest.mark.parametrize("value", SHOWN, ids=lambda v: v.__name__)
def test_examples(value):
    names = {"np": np, "keras": keras, "keras_norms": keras_norms, **{v.__name__: v for v in PUBLIC}}
    tests = doctest.DocTestFinder(recurse=False).find(value, value.__name__, globs=names)
    assert tests[0].examples
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(tests[0])
    assert results.failed == 0


@pytest.mark.parametrize("layer", LAYERS, ids=lambda v: v.__name__)
def test_parts(layer):
    text = inspect.getdoc(layer)
    for part in ("Example:", "Args:", "Input shape:", "Output shape:", "Raises:", "Export:", "Reference:", " = "):
        assert part in text
    arguments = [p for p in inspect.signature(layer.__init__).parameters if p not in ("self", "kwargs")]
    listed = text.split("Args:")[1].split("**kwargs")[0]
    assert [a for a in arguments if f"\n    {a}: " not in listed] == []


@pytest.mark.parametrize("function", [*FUNCTIONS, *CALLBACKS], ids=lambda v: v.__name__)
def test_parts_of_functions_and_callbacks(function):
    text = inspect.getdoc(function)
    for part in ("Example:", "Args:", "Raises:", "Reference:"):
        assert part in text
    if inspect.isfunction(function):
        assert "Returns:" in text
    arguments = [p for p in inspect.signature(function).parameters if p != "self"]
    listed = text.split("Args:")[1].split("Raises:")[0]
    assert [a for a in arguments if f"\n    {a}: " not in listed] == []
