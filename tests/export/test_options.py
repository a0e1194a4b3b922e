"""Options are frozen plain values, whatever numbers a user has at hand."""

import dataclasses
import json

import numpy as np
import pytest
from keras_norms.export.options import OnnxOptions, TFLiteOptions


@pytest.mark.parametrize("kind", [TFLiteOptions, OnnxOptions])
def test_numbers_of_numpy_become_plain(kind):
    options = kind(batch_size=np.int64(2), tolerance=np.float32(0.5), fold=np.bool_(False))
    assert json.loads(json.dumps(options.to_dict()))["batch_size"] == 2
    assert (type(options.batch_size), type(options.tolerance), type(options.fold)) == (int, float, bool)
    assert kind(**options.to_dict()) == options


def test_options_do_not_change_on_their_way():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OnnxOptions().opset = 17
    with pytest.raises(TypeError, match="layuot"):
        OnnxOptions(layuot="nchw")
