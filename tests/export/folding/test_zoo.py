"""How many batch norms fold in known architectures; `benchmarks/fold_zoo.py` folds and compares every one there is."""

import keras
import pytest
from fold_checks import randomize
from keras_norms.export.folding.fold import fold_plan

# name: batch norms folded, batch norms there are
ARCHITECTURES = {
    "ResNet50": (53, 53),
    "EfficientNetB0": (49, 49),
    "MobileNetV3Small": (34, 34),
    "ResNet50V2": (32, 49),
    "DenseNet121": (59, 121),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_fold_as_they_should(name):
    folded, total = ARCHITECTURES[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=2)
    report = fold_plan(randomize(model))
    assert (len(report.folded), len(report.folded) + len(report.kept)) == (folded, total)
    assert all(kept.reason.startswith("before it, ") and "; after it, " in kept.reason for kept in report.kept)
    assert str(report).count("\n") >= total
