"""Subclassed models whose call is no graph of layers: refused with the reason, and left as they were."""

import keras
import numpy as np
import pytest
from fold_models import IMAGE, bn
from fold_python import Python, built, everything, images
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold, fold_plan

L = keras.layers


class Stateful(Python):
    def build(self, shape):
        self.scale = self.add_weight(shape=(3,), name="scale")
        super().build(shape)


class TwoArguments(Python):
    def call(self, x, y):
        return self.bn(self.conv(x)) + y


def in_numpy(self, x):
    y = self.bn(self.conv(x))
    return keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(y) * 2.0)


REFUSED = {
    "condition": (lambda self, x: self.bn(self.conv(x)) if keras.ops.sum(x) > -1e9 else x, "symbolic tensors"),
    "numpy": (in_numpy, "cannot run on symbolic tensors"),
    "constant": (lambda self, x: [self.bn(self.conv(x)), 3.0], "something other than tensors"),
    "kernel": (lambda self, x: self.bn(self.conv(x)) * self.conv.bias, "uses the weight '.*bias' outside of a layer"),
    "batch": (
        lambda self, x: keras.ops.reshape(self.bn(self.conv(x)), (x.shape[0], -1)),
        "traced on symbolic tensors, it does not run",
    ),
    "training": (lambda self, x: self.bn(self.conv(x), training=True), "training=True to 'bn'"),
    "python_only": (
        lambda self, x: self.bn(self.conv(x)) * (1.0 if isinstance(x, keras.KerasTensor) else 2.0),
        "depends on more than its inputs' shapes: traced on symbolic tensors, an output differs by 5.0e-01",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_call_that_is_no_graph_of_layers(case):
    function, reason = REFUSED[case]
    m = Python(function)
    m.build((2, *IMAGE)) if case in ("condition", "numpy", "constant") else m(images())
    for part, shape in ((m.conv, IMAGE), (m.bn, IMAGE)):
        if not part.built:
            part.build((2, *shape))
    before = everything(m)
    with pytest.raises(FoldError, match=reason):
        fold(m)
    assert everything(m) == before


def test_weights_of_its_own_and_several_arguments():
    m = Stateful(lambda self, x: self.bn(self.conv(x)) * self.scale)
    m(images())
    with pytest.raises(FoldError, match="it has the weight 'scale' of its own"):
        fold(m)
    m = TwoArguments(None)
    m(images(), images())
    with pytest.raises(FoldError, match=r"takes several tensors \(x, y\) instead of one list or dict"):
        fold(m)


class Lazy(keras.Model):
    """Builds its layers itself and records no shapes."""

    def __init__(self):
        super().__init__()
        self.dense, self.bn, self.spare = L.Dense(4), bn("bn"), L.Dense(3, name="spare")

    def build(self, _shape=None):
        self.dense.build((None, 5))
        self.bn.build((None, 4))

    def get_build_config(self):
        return None

    def call(self, x):
        return self.bn(self.dense(x))


def test_shapes_that_nothing_records():
    with pytest.raises(FoldError, match="which was never called. Call it once on a batch of real inputs"):
        fold(Lazy())
    m = Lazy()
    m.build()
    x = np.ones((3, 5), "float32")
    with pytest.raises(FoldError, match=r"nothing records them.*fold\(model, inputs=...\)"):
        fold(m)
    result, report = fold(m, inputs=x)
    assert [f.norm for f in report.folded] == ["bn"]
    assert result.input_shape == (None, 5)


def test_layers_without_weights_are_not_built_by_folding():
    class Changed(Lazy):
        use_spare = False

        def call(self, x):
            return self.spare(super().call(x)) if self.use_spare else super().call(x)

    m = Changed()
    m(np.ones((3, 5), "float32"))
    m.use_spare = True
    before = everything(m)
    with pytest.raises(FoldError, match="its layer 'spare' has no weights yet"):
        fold(m, inputs=np.ones((3, 5), "float32"))
    assert everything(m) == before
    assert not m.spare.built


def test_what_the_call_notes_down_is_taken_back():
    def note(self, x):
        self.seen = x
        return self.bn(self.conv(x))

    m = built(Python(note))
    seen = m.seen
    fold_plan(m)
    assert m.seen is seen
    fold(m)
    assert m.seen is seen
