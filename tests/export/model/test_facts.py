"""What is known of a model: read once, the same for another batch size without reading it again."""

import keras
import pytest
from keras_norms.export import ExportError
from keras_norms.export.model import facts, signature
from keras_norms.export.model.facts import ModelFacts
from models import NORMS, image_net, two_in_two_out


def test_facts_say_what_the_model_is_read_to_be():
    model = image_net(NORMS["GroupNormalization"])
    known = ModelFacts.of(model, 3)
    assert known.model is model
    assert known.signature == signature.signature(model, 3)
    assert known.declared == signature.signature(model)
    assert known.layer_names == {layer.name for layer in model.layers}
    assert known.half_policies == ()
    assert known.half_weights is None


def test_another_batch_size_does_not_read_the_model_again(monkeypatch):
    known = ModelFacts.of(two_in_two_out())
    monkeypatch.setattr(facts, "signature", None)
    assert [spec.shape[0] for spec in known.with_batch(2).signature.inputs] == [2, 2]
    assert known.with_batch(2).with_batch(None).signature == known.declared


@pytest.mark.parametrize(
    ("batch_size", "message"), [(0, "must be a positive integer"), (3, "fixes the batch of input 'x' at 2")]
)
def test_a_batch_size_that_does_not_fit_is_refused(batch_size, message):
    x = keras.Input((4,), batch_size=2, name="x")
    with pytest.raises(ExportError, match=message):
        ModelFacts.of(keras.Model(x, keras.layers.Dense(2)(x)), batch_size)


def test_half_precision_is_told():
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(2, dtype="mixed_float16")(x))
    assert ModelFacts.of(model).half_policies == ("mixed_float16",)
    assert ModelFacts.of(model).half_weights is None
