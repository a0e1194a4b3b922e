"""The shapes that a subclassed model records, as a fold and as an export read them: alike."""

import keras
import numpy as np
import pytest
from keras_norms.export import fold
from keras_norms.export.model.recorded_shapes import recorded_shapes
from keras_norms.export.model.signature import signature

L = keras.layers


class OfOneTensor(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.norm = L.Dense(4), L.BatchNormalization(name="norm")

    def call(self, x):
        return self.norm(self.dense(x))


class RecordedByName(OfOneTensor):
    def get_build_config(self):
        return {"input_shape": {"x_shape": (2, 3)}}


class OfADict(OfOneTensor):
    def call(self, inputs):
        return super().call(inputs["points"])


class OfADictNamedLikeAShape(OfOneTensor):
    """Its key ends as the names that Keras makes of arguments do."""

    def call(self, inputs):
        return super().call(inputs["body_shape"])


class OfAList(OfOneTensor):
    def call(self, inputs):
        return super().call(inputs[0] + inputs[1])


class WithItsOwnRecord(OfOneTensor):
    def get_build_config(self):
        return {"shapes_dict": {"anything": (2, 3)}}


X = np.ones((2, 3), "float32")
CASES = {
    "one tensor": (OfOneTensor, X, (2, 3), ["input"]),
    "by name": (RecordedByName, X, (2, 3), ["input"]),
    "dict": (OfADict, {"points": X}, {"points": (2, 3)}, ["points"]),
    "dict named like a shape": (OfADictNamedLikeAShape, {"body_shape": X}, {"body_shape": (2, 3)}, ["body_shape"]),
    "list": (OfAList, [X, X], [(2, 3), (2, 3)], ["input_0", "input_1"]),
    "a record of its own": (WithItsOwnRecord, X, (2, 3), ["input"]),
}


@pytest.mark.parametrize(("kind", "inputs", "shapes", "names"), CASES.values(), ids=CASES)
def test_a_fold_and_an_export_read_the_same_shapes(kind, inputs, shapes, names):
    model = kind()
    model(inputs)
    assert keras.tree.map_shape_structure(tuple, recorded_shapes(model)) == shapes
    specs = signature(model).inputs
    assert [spec.name for spec in specs] == names
    assert {spec.shape for spec in specs} == {(None, 3)}
    folded, report = fold(model)
    assert [record.norm for record in report.folded] == ["norm"]
    assert {tuple(x.shape) for x in folded.inputs} == {(None, 3)}


def test_a_model_that_was_never_called_records_nothing():
    assert recorded_shapes(OfOneTensor()) is None
