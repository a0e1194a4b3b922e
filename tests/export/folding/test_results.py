"""What the result of a fold can do, and what its report says."""

import json

import keras
import numpy as np
import pytest
from fold_checks import assert_close, assert_folds, random_batch, randomize, run, structure
from fold_models import bn, conv, encoder, image, model
from keras_norms.export.folding.fold import fold, fold_or_same, fold_plan

L = keras.layers


@pytest.mark.parametrize("build", [encoder, lambda: keras.Sequential([image(), conv("conv"), bn("last")])])
def test_the_result_saves_and_loads(build, tmp_path):
    m = randomize(build())
    result, _ = fold(m)
    result.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    x = random_batch(m)
    assert_close(run(loaded, x), run(result, x), 1e-6)
    before, after = structure(m), structure(loaded)
    assert [before[k] for k in ("outputs", "output_names")] == [after[k] for k in ("outputs", "output_names")]
    assert fold(loaded).report.folded == []


def test_of_a_model_in_which_nothing_folds_an_export_takes_the_model_itself():
    stays = keras.Sequential([keras.Input((4,)), L.LayerNormalization(), L.ReLU(), L.Dense(2)])
    assert fold(stays).model is not stays
    same, report = fold_or_same(stays)
    assert same is stays
    assert (report.folded, report.tails, report.parameters_after) == ([], [], stays.count_params())


@pytest.mark.parametrize(
    "layers", [(conv("conv"), bn("folds")), (L.ReLU(), bn("stays"), L.ReLU())], ids=["folds", "stays"]
)
def test_of_a_model_with_batch_norms_an_export_takes_what_fold_gives(layers):
    m = keras.Sequential([image(), *layers])
    (ours, report), (theirs, expected) = fold_or_same(m), fold(m)
    assert ours is not m
    assert report == expected
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]


def test_the_result_trains_and_keeps_the_compilation():
    x = image()
    y = L.Dense(2, name="head")(L.GlobalAveragePooling2D()(L.ReLU()(bn()(conv("conv")(x)))))
    m = model(x, y)
    m.compile("sgd", {"head": "mse"}, jit_compile=False)
    result, _ = fold(m)
    before = result.get_layer("conv").get_weights()[0]
    result.fit(random_batch(m, 4), np.ones((4, 2), "float32"), verbose=0)
    assert not np.array_equal(before, result.get_layer("conv").get_weights()[0])


def test_trainable_flags_stay():
    x = image("top")
    inner = encoder()
    m = model(x, bn("out")(conv("c")(inner(x))))
    inner.trainable = False
    inner.get_layer("last").trainable = True
    result, _ = fold(m)
    for name in ("conv", "last"):
        assert result.get_layer("encoder").get_layer(name).trainable == inner.get_layer(name).trainable
    assert result.get_layer("c").trainable
    assert not result.get_layer("encoder").trainable


def test_flags_of_single_weights_stay():
    x = image()
    m = model(x, bn()(conv("edited")(L.ReLU()(conv("same")(x)))))
    for name in ("edited", "same"):
        m.get_layer(name).kernel.trainable = False
    result, _ = fold(m)
    for name in ("edited", "same"):
        assert [w.trainable for w in result.get_layer(name).weights] == [False, True]


def test_state_outside_of_weights_is_copied():
    normalize = L.Normalization(name="normalize")
    normalize.adapt(np.random.default_rng(0).normal(3.0, 2.0, (64, 5)).astype("float32"))
    m = randomize(keras.Sequential([keras.Input((5,)), normalize, L.Dense(3), bn()]))
    assert_folds(m, ["bn"])


def test_the_report_reads_and_serializes():
    x = image()
    y = conv("conv_3")(x)
    m = model(x, [y, L.ReLU(name="relu")(bn("kept")(y)), bn("gone")(conv("c")(x))], name="small")
    report = fold(m).report
    text = str(report)
    assert text.splitlines()[0].startswith("small: 1 of 2 batch norms folded")
    assert "the output of 'conv_3' is also an output of the model" in text
    data = json.loads(report.to_json())
    assert data == report.to_dict() | {"folded": data["folded"]}
    assert data["folded"][0]["norm"] == "gone"
    assert data["folded"][0]["into"] == ["c"]
    assert data["kept"][0]["norm"] == "kept"
    assert report.parameters_before - report.parameters_after == 16


def test_the_plan_alone_says_the_same():
    m = randomize(encoder())
    planned, done = fold_plan(m), fold(m).report
    assert [(r.norm, r.into, r.rule) for r in planned.folded] == [(r.norm, r.into, r.rule) for r in done.folded]
    assert planned.kept == done.kept
    assert all(r.error is None for r in planned.folded)


def test_one_norm_that_stays_does_not_stop_the_others():
    x = image()
    y = L.ReLU()(bn("first")(conv("a")(x)))
    y = bn("stays")(L.ReLU()(y))
    y = L.ReLU()(bn("last")(conv("b", activation="tanh")(y)))
    y = L.ReLU()(bn("end")(conv("c")(y)))
    assert_folds(model(x, y), ["first", "end"], ["stays", "last"])


def test_the_report_counts_what_is_saved():
    assert fold(model(*_one())).report.multiply_adds_saved == 8 * 7 * 4
    x = keras.Input((None, 7, 3))
    assert fold(model(x, bn()(conv("conv")(x)))).report.multiply_adds_saved is None


def _one():
    x = image()
    return x, bn()(conv("conv")(x))
