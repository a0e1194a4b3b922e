"""Custom layers whose call is Python code: traced, opened and folded."""

import keras
import pytest
from fold_blocks import Activated, Block, Joined, Residual, block_model
from fold_checks import assert_close, random_batch, randomize, run, state, structure
from fold_models import bn, conv, image, model
from keras_norms.export.folding.fold import fold

L = keras.layers


def folds_opened(m, folded, kept=()):
    """As `assert_folds`, for models in which layers become models."""
    x = random_batch(m)
    before, expected = state(m), run(m, x)
    result, report = fold(m)
    assert sorted(r.norm for r in report.folded) == sorted(folded)
    reasons = {r.norm: r.reason for r in report.kept}
    assert sorted(reasons) == sorted(kept)
    for norm in kept:
        assert kept[norm] in reasons[norm], reasons[norm]
    assert state(m) == before
    assert structure(result) == structure(m)
    assert_close(run(result, x), expected, 2e-5)
    assert fold(result).report.folded == []
    return result, report


def test_a_custom_layer_with_a_norm_is_opened():
    m = block_model(Residual(name="block"))
    result, report = folds_opened(m, ["block/hidden"])
    assert report.folded[0].into == ("block/conv",)
    assert isinstance(result.get_layer("block"), keras.Model)
    assert "custom layers were opened" in report.notes[0]
    assert "'block' (Residual)" in report.notes[0]
    assert report.notes[0] in str(report)


def test_a_custom_layer_in_which_nothing_folds_stays_what_it_is():
    m = block_model(Activated(name="block"))
    result, report = folds_opened(m, [], {"block/hidden": "before it, 'block/relu' (Relu) is not linear"})
    assert type(result.get_layer("block")) is Activated
    assert report.notes == []


def test_a_norm_before_and_behind_a_custom_layer():
    x = image()
    m = model(x, L.ReLU()(bn("after")(Block(3, name="block")(L.ReLU()(x)))))
    _, report = folds_opened(m, ["after", "block/hidden"])
    assert {f.into for f in report.folded} == {("block/conv",)}


def test_the_opened_model_saves_without_the_class_and_trains(tmp_path):
    m = block_model(Residual(name="block"))
    result, _ = fold(m)
    result.save(tmp_path / "folded.keras")
    with keras.saving.custom_object_scope({}):
        loaded = keras.saving.load_model(tmp_path / "folded.keras")
    x = random_batch(m)
    assert_close(run(loaded, x), run(m, x), 2e-5)
    loaded.compile("sgd", "mse", jit_compile=False)
    loaded.fit(x, run(m, x)[0], verbose=0)


def test_custom_layers_in_a_sequential_model():
    m = randomize(
        keras.Sequential([image(), Residual(3, name="a"), L.ReLU(), Activated(3, name="b"), Residual(3, name="c")])
    )
    result, _ = folds_opened(m, ["a/hidden", "c/hidden"], {"b/hidden": "(Relu) is not linear"})
    assert type(result) is keras.Sequential
    assert type(result.get_layer("b")) is Activated


def test_a_custom_layer_called_twice_folds_once_for_both():
    a, b = image("a"), image("b")
    block = Block(3, name="block")
    folds_opened(model([a, b], L.Maximum()([block(a), block(L.ReLU()(b))])), ["block/hidden"])


def test_a_custom_layer_called_at_two_sizes():
    x = image()
    block = Block(3, name="block")
    head = L.GlobalAveragePooling2D(name="pool")
    m = model(x, [head(block(x)), head(block(L.MaxPooling2D()(x)))])
    folds_opened(m, ["block/hidden"])


class Nest(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(name="same"), Residual(name="same")]

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return {"last": x, "twice": 2.0 * x}


def test_custom_layers_in_custom_layers_of_the_same_name():
    x = image()
    made = Nest(name="nest")(conv("first")(x))
    result, _ = folds_opened(
        model(x, [L.ReLU()(made["last"]), L.ReLU()(made["twice"])]),
        [
            "nest/same/hidden",
            "nest/same_1/hidden",
        ],
    )
    assert [layer.name for layer in result.get_layer("nest").layers if isinstance(layer, keras.Model)] == [
        "same",
        "same_1",
    ]


def test_several_tensors_and_options():
    x = image()
    y, z = conv("a")(x), conv("b")(x)
    m = model(x, L.ReLU()(Joined(name="joined")(y, b=z, weight=0.5)))
    folds_opened(m, ["joined/hidden"])


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
def test_a_custom_layer_that_computes_in_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        block = Residual(3, name="block")
    finally:
        keras.config.set_dtype_policy("float32")
    x = image()
    m = model(x, L.ReLU(dtype="float32")(block(x)))
    before, expected = state(m), run(m, random_batch(m))
    result, report = fold(m)
    assert [f.norm for f in report.folded] == ["block/hidden"]
    assert state(m) == before
    assert_close(run(result, random_batch(m)), expected, 1e-2 if policy == "mixed_float16" else 2e-5)
