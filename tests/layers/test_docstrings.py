"""The examples in the docstrings run, and every public docstring has its parts."""

import doctest
import inspect

import keras
import numpy as np
import pytest

import keras_norms

PUBLIC = [getattr(keras_norms, name) for name in keras_norms.__all__]
LAYERS = [value for value in PUBLIC if issubclass(value, keras.layers.Layer)]


@pytest.mark.parametrize("value", PUBLIC, ids=lambda v: v.__name__)
def test_examples(value):
    names = {"np": np, "keras": keras, **{v.__name__: v for v in PUBLIC}}
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
