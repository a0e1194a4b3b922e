"""Attention in files: no operation scales scores or queries, and the scores are those of the layer."""

import keras
import pytest
from fold_checks import randomize
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.lowerings import lowering

L = keras.layers
CASES = {
    "heads": lambda **k: L.MultiHeadAttention(2, 5, **k),
    "heads, dropout": lambda **k: L.MultiHeadAttention(2, 5, dropout=0.1, **k),
    "no bias": lambda **k: L.MultiHeadAttention(2, 5, use_bias=False, **k),
    "groups": lambda **k: L.GroupQueryAttention(5, 4, 2, **k),
}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


class Sharp(L.MultiHeadAttention):
    """Scores of its own."""

    def _compute_attention(self, query, key, value, *args, **kwargs):
        return super()._compute_attention(2.0 * query, key, value, *args, **kwargs)


def attending(layer, **call):
    x, memory = keras.Input((6, 8), name="x"), keras.Input((7, 8), name="memory")
    return randomize(keras.Model([x, memory], layer(x, memory, **call)))


@pytest.mark.runtime
@pytest.mark.parametrize("case", CASES)
def test_nothing_scales_the_scores(case, tmp_path):
    model = attending(CASES[case]())
    for export, name in ((to_tflite, "m.tflite"), (to_onnx, "m.onnx")):
        report = export(model, tmp_path / name)
        assert not {"MUL", "Mul", "DIV", "Div"} & set(report.ops)
        assert report.verification.relative < 1e-5  # what Keras' own scaling has on these inputs, too


@pytest.mark.runtime
def test_scores_that_are_returned_and_masked_are_right(tmp_path):
    model = attending(L.MultiHeadAttention(2, 5), return_attention_scores=True, use_causal_mask=True)
    # A softmax makes much of how its scores are rounded.
    assert to_tflite(model, tmp_path / "m.tflite").verification.relative < 2e-4


@pytest.mark.parametrize("layer", [Sharp(2, 5), L.MultiHeadAttention(2, 5)], ids=["own scores", "LoRA"])
def test_other_attention_stays_as_it_is(layer):
    attending(layer)
    query = next(part for part in layer._layers if part.name == "query")
    if type(layer) is L.MultiHeadAttention:
        assert lowering(layer)(layer) is not None
        query.enable_lora(2)
    assert lowering(layer)(layer) is None
