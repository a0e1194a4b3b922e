"""Masks: merges of Keras 2 joined them by "and", and some of its layers dropped them."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading.proof import _masked_in_part

tk = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers
A, B = np.random.default_rng(0).normal(size=(2, 3, 6, 4)).astype("float32")
A[0, 3:], A[1, :2], A[2, 2], B[0, 4:], B[1, 3], B[2, :4] = 0, 0, 0, 0, 0, 0
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


def masked(x):
    return L.Masking()(x)


def written(compute, path):
    """A file of a model of two inputs, and what Keras 2 computes."""
    a, b = tk.Input((6, 4)), tk.Input((6, 4))
    model = tk.Model([a, b], compute(a, b))
    model.save(path)
    return [np.asarray(y) for y in keras.tree.flatten(model([A, B]))]


def pooled(x):
    """The mean over the steps that are not masked."""
    return L.GlobalAveragePooling1D()(x)


def merge(kind):
    layer = getattr(L, kind)
    return lambda a, b: [
        pooled(layer()([masked(a), masked(b)])),
        pooled(layer()([masked(a), b])),
        L.Flatten()(layer()([a, masked(b)])),
    ]


def behind(*layers):
    return lambda a, b: [pooled(layer(masked(x))) for layer in layers for x in (a, b)]


def joined(*cases):
    return lambda a, b: [y for case in cases for y in case(a, b)]


CASES = {
    "merges": joined(*[merge(kind) for kind in MERGES]),
    "along the steps": lambda a, b: [pooled(L.Concatenate(axis=1)([masked(a), masked(b)]))],
    "dropped": behind(L.Rescaling(2.0, 1.0), L.Normalization(mean=1.0, variance=4.0, axis=None), L.Identity()),
    "operators": lambda a, b: [pooled(masked(a) + b), pooled(masked(a) * 2.0)],
    "others": behind(L.TimeDistributed(L.Dense(3)), L.Bidirectional(L.GRU(2, return_sequences=True)), L.Conv1D(2, 1)),
}
TRANSLATED = ("merges", "along the steps", "dropped")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("case", CASES)
def test_masks_are_as_keras_2_had_them(case, suffix, tmp_path):
    want = written(CASES[case], tmp_path / f"old{suffix}")
    model, report = load(tmp_path / f"old{suffix}", prove=False)
    model.save(tmp_path / "new.keras")
    for loaded in (model, keras.models.load_model(tmp_path / "new.keras")):
        for got, wanted in zip(keras.tree.flatten(loaded([A, B])), want, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    assert ("masks" in {made.translation for made in report.translated}) == (case in TRANSLATED)


def test_without_a_mask_the_layers_are_stock(tmp_path):
    written(lambda a, b: [L.Add()([a, b]), L.Rescaling(2.0)(a)], tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", prove=False).model
    assert [type(layer) for layer in model.layers[2:]] == [keras.layers.Add, keras.layers.Rescaling]


def test_a_mask_that_is_made_within_a_step_is_refused_where_it_goes_on(tmp_path):
    x, words = tk.Input((3, 6), dtype="int32"), L.Embedding(5, 4, mask_zero=True)
    within = L.TimeDistributed(tk.Sequential([tk.Input((6,), dtype="int32"), words, L.GlobalAveragePooling1D()]))
    tk.Model(x, pooled(within(x))).save(tmp_path / "ends.h5")
    load(tmp_path / "ends.h5", prove=False)
    goes_on = L.TimeDistributed(L.GlobalAveragePooling1D())(
        L.TimeDistributed(L.Embedding(5, 4, mask_zero=True), name="words")(x)
    )
    tk.Model(x, goes_on).save(tmp_path / "goes.h5")
    with pytest.raises(ExportError, match="layer 'words' makes a mask within each step of its TimeDistributed"):
        load(tmp_path / "goes.h5", prove=False)


def test_a_class_of_the_user_that_makes_a_mask_counts(tmp_path):
    class OwnMask(L.Layer):
        """Keras 2's."""

        def compute_mask(self, inputs, mask=None):
            return tk.backend.any(inputs > 0, axis=-1)

        def call(self, inputs):
            return inputs

    class InKeras3(keras.layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return keras.ops.any(inputs > 0, axis=-1)

        def call(self, inputs):
            return inputs

    (want,) = written(lambda a, b: [pooled(L.Add()([OwnMask()(a), b]))], tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", custom_objects={"OwnMask": InKeras3}, prove=False).model
    np.testing.assert_allclose(*keras.tree.flatten(model([A, B])), want, rtol=1e-5)


@pytest.mark.runtime
def test_the_proof_masks_some_steps(monkeypatch, tmp_path):
    """Without the translation nothing differs on inputs of which no step is masked."""
    written(merge("Add"), tmp_path / "m.h5")
    assert load(tmp_path / "m.h5").report.error <= 1e-5
    translations = "keras_norms.export.loading.translations"
    from keras_norms.export.loading.translations import TRANSLATIONS

    monkeypatch.setattr(f"{translations}.TRANSLATIONS", tuple(row for row in TRANSLATIONS if row.name != "masks"))
    with pytest.raises(ExportError, match="computes something else from it"):
        load(tmp_path / "m.h5")
    masked_steps = (_masked_in_part(A, 7.0) == 7.0).all(axis=-1)
    assert 0 < masked_steps.mean() < 1
