"""Norms that fold into nothing and become depthwise convolutions on demand."""

import keras
import pytest
from fold_checks import assert_close, random_batch, run, structure
from fold_models import bn, conv, image, model
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold

L = keras.layers


def pre_activation():
    x = image()
    y = conv("first")(x)
    z = L.Conv2D(4, 3, padding="same", name="second")(L.ReLU()(bn("pre")(y)))
    return model(x, L.ReLU()(bn("top")(L.Add()([y, z]))))


def test_a_norm_left_over_becomes_a_depthwise_convolution_on_demand():
    m = pre_activation()
    x = random_batch(m)
    before = fold(m)
    assert {r.norm for r in before.report.kept} == {"pre", "top"}
    result, report = fold(m, standalone="depthwise")
    assert not report.kept
    assert {(r.norm, r.into, r.rule) for r in report.folded} == {
        ("pre", ("pre",), "standalone depthwise convolution"),
        ("top", ("top",), "standalone depthwise convolution"),
    }
    assert type(result.get_layer("pre")) is L.DepthwiseConv2D
    assert_close(run(result, x), run(m, x), 2e-6)
    assert structure(result) == structure(m)
    assert fold(result, standalone="depthwise").report.folded == []


def test_standalone_leaves_what_is_no_image():
    x = keras.Input((6, 4))
    m = model(x, L.ReLU()(bn()(L.ReLU()(x))))
    assert [r.norm for r in fold(m, standalone="depthwise").report.kept] == ["bn"]
    with pytest.raises(FoldError, match="standalone must be None or \"depthwise\"; received 'dense'"):
        fold(m, standalone="dense")
