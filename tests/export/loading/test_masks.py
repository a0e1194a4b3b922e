"""Masks: merges of Keras 2 joined them by "and", and some of its layers dropped them."""

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading import proof
from keras_norms.export.loading.proof import _masked_in_part
from keras_norms.export.model.keras_graph import mask_of

from keras_norms._time_distributed_of_keras2 import TimeDistributedOfKeras2

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


def words(x):
    """The words of sentences, (batch, sentence, word, features), some of them masked."""
    return masked(L.Reshape((3, 2, 4))(x))


def rows(*layers):
    """One row of each sentence, and the mean of those of sentences that are not masked."""
    return lambda a, b: [pooled(L.TimeDistributed(layer())(words(x))) for layer, x in zip(layers, (a, b), strict=True)]


def words_masked_within(a, b):
    """A mask that is made within a step and used in the next layer's steps, or by a model as its own."""
    within = tk.Sequential([tk.Input((2, 4)), L.Masking(), L.Dense(3)])
    own = L.TimeDistributed(L.Masking())
    return [
        L.TimeDistributed(L.SimpleRNN(2))(layer(L.Reshape((3, 2, 4))(x)))
        for layer in (L.TimeDistributed(within), own)
        for x in (a, b)
    ]


def attended(a, b):
    """What a step gives that is masked itself, by each way on which the stock layer computes."""
    x, y = masked(a), masked(b)
    both = L.MultiHeadAttention(1, 2)(x, y, return_attention_scores=True)
    return [L.MultiHeadAttention(1, 2)(x, y), L.MultiHeadAttention(1, 2, dropout=0.1)(x, y), *both]


def given_states(a, b):
    """A decoder starts from the states of an encoder."""
    states = L.GRU(2)(a)
    both = L.Bidirectional(L.SimpleRNN(2), name="both")(masked(b), initial_state=[states, states])
    return [L.GRU(2)(masked(b), initial_state=states), both]


CASES = {
    "merges": joined(*[merge(kind) for kind in MERGES]),
    "along the steps": lambda a, b: [pooled(L.Concatenate(axis=1)(x)) for x in ([masked(a), masked(b)], [masked(a)])],
    "dropped": behind(L.Rescaling(2.0, 1.0), L.Normalization(mean=1.0, variance=4.0, axis=None), L.Identity()),
    "operators": lambda a, b: [pooled(masked(a) + b), pooled(masked(a) * 2.0)],
    "rows of words": rows(lambda: L.SimpleRNN(3), lambda: tk.Sequential([L.Dense(2), L.SimpleRNN(2)])),
    "within a step": words_masked_within,
    "attention": attended,
    "given states": given_states,
    "others": behind(L.TimeDistributed(L.Dense(3)), L.Bidirectional(L.GRU(2, return_sequences=True)), L.Conv1D(2, 1)),
}
TRANSLATED = {
    **dict.fromkeys(("merges", "along the steps", "dropped"), "masks"),
    **dict.fromkeys(("rows of words", "within a step"), "masks within steps"),
    "attention": "softmax of masks",
    "given states": "masks beside states",
}


# The form of the file says nothing about masks, so these are written in one: recurrent layers take long.
IN_ONE_FORM = {"rows of words": ".h5", "within a step": ".keras", "attention": ".h5", "given states": ".keras"}
FILES = [(case, suffix) for case in CASES for suffix in (".h5", ".keras") if IN_ONE_FORM.get(case, suffix) == suffix]


@pytest.mark.parametrize(("case", "suffix"), FILES)
def test_masks_are_as_keras_2_had_them(case, suffix, tmp_path):
    want = written(CASES[case], tmp_path / f"old{suffix}")
    model, report = load(tmp_path / f"old{suffix}", prove=False)
    model.save(tmp_path / "new.keras")
    for loaded in (model, keras.models.load_model(tmp_path / "new.keras")):
        for got, wanted in zip(keras.tree.flatten(loaded([A, B])), want, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    about_masks = {made.translation for made in report.translated if "masks" in made.translation}
    assert about_masks == ({TRANSLATED[case]} if case in TRANSLATED else set())


def test_a_mask_within_a_step_is_known_before_the_model_runs():
    """As fold asks for it."""
    steps = TimeDistributedOfKeras2(keras.layers.Masking())(keras.Input((3, 2, 4)))
    assert mask_of(steps).shape == (None, 3, 2)


def test_a_softmax_of_which_everything_is_masked_weighs_all_alike(tmp_path):
    def scores(a, b):
        return [L.Softmax()(L.Dot(axes=2)([a, b]), mask=L.Permute((2, 1))(L.Dense(6)(b))[:, :1] * 0)]

    (want,) = written(scores, tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", prove=False).model
    np.testing.assert_allclose(*keras.tree.flatten(model([A, B])), want, rtol=1e-5)
    np.testing.assert_allclose(want, 1 / 6, rtol=1e-5)


def test_without_a_mask_the_layers_are_stock(tmp_path):
    written(lambda a, b: [L.Add()([a, b]), L.Rescaling(2.0)(a)], tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", prove=False).model
    assert [type(layer) for layer in model.layers[2:]] == [keras.layers.Add, keras.layers.Rescaling]


class Doubled(L.Layer):
    """A class of the user's."""

    def compute_mask(self, inputs, mask=None):
        return mask

    def call(self, inputs):
        return inputs * 2.0


class DoubledInKeras3(keras.layers.Layer):
    """The same in Keras 3."""

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        return inputs * 2.0


def steps(layer, batch=None):
    """A layer in a TimeDistributed behind a mask."""
    x = tk.Input((6, 4), batch_size=batch)
    return tk.Model(x, L.TimeDistributed(layer, name="steps")(masked(x)))


def weighed():
    x = tk.Input((6, 4))
    return tk.Model(x, L.MultiHeadAttention(1, 2, name="attention")(masked(x), masked(x)))


REFUSED = {
    "attention before 2.10": (
        weighed,
        "2.9.0",
        "'attention' is a MultiHeadAttention in a model that masks steps: before Keras 2.10 it took no notice",
    ),
    "states": (
        lambda: tk.Model(x := tk.Input((3, 2, 4), batch_size=2), L.TimeDistributed(L.LSTM(2, stateful=True))(x)),
        "2.15.0",
        "is a TimeDistributed of a layer with states, whose first step Keras 2 computed twice",
    ),
    "class of the user's in a fixed batch": (
        lambda: steps(Doubled(), 2),
        "2.15.0",
        "'steps' is a TimeDistributed of a class of the user's, in a model of a fixed batch that masks steps",
    ),
    "before 2.2.3": (
        lambda: steps(tk.Sequential([L.Dense(2)])),
        "2.1.6-tf",
        "'steps' is a TimeDistributed in a model that masks steps: before 2.2.3",
    ),
    "fixed batch up to 2.3": (
        lambda: steps(tk.Sequential([L.Dense(2)]), 2),
        "2.3.1",
        "'steps' is a TimeDistributed in a model that masks steps: .* with a fixed batch up to 2.3",
    ),
}
READ = {
    "attention of 2.10": (weighed, "2.10.0"),
    "class of the user's in a free batch": (lambda: steps(Doubled()), "2.15.0"),
    "a layer that leaves masks, before 2.2.3": (lambda: steps(L.Dense(2), 2), "2.1.6"),
    "fixed batch of tf.keras": (lambda: steps(tk.Sequential([L.Dense(2)]), 2), "2.2.4-tf"),
    "free batch of 2.3": (lambda: steps(tk.Sequential([L.Dense(2)])), "2.3.1"),
}


def of_version(make, version, path):
    make().save(path)
    with h5py.File(path, "r+") as file:
        for group in (file, file["model_weights"]):
            group.attrs["keras_version"] = version
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_steps_that_keras_2_computed_otherwise_are_refused(case, tmp_path):
    make, version, reason = REFUSED[case]
    with pytest.raises(ExportError, match=reason):
        load(of_version(make, version, tmp_path / "m.h5"), custom_objects={"Doubled": DoubledInKeras3}, prove=False)


@pytest.mark.parametrize("case", READ)
def test_steps_beside_them_are_read(case, tmp_path):
    make, version = READ[case]
    load(of_version(make, version, tmp_path / "m.h5"), custom_objects={"Doubled": DoubledInKeras3}, prove=False)


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


@pytest.mark.runtime
@pytest.mark.parametrize("version", ["2.1.6-tf", "2.2.4-tf"])
@pytest.mark.parametrize("reached", [True, False], ids=["masked", "mask dropped before"])
def test_steps_were_pooled_with_the_masked_ones_until_tensorflow_1_12(version, reached, tmp_path):
    words = tk.layers.Embedding(5, 4, mask_zero=True)
    between = L.Activation("tanh") if reached else L.Conv1D(4, 1, kernel_initializer="ones")
    model = tk.Sequential([tk.Input((6,)), words, between, L.GlobalAveragePooling1D()])
    ids = np.array([[1, 2, 0, 3, 0, 4], [4, 0, 0, 0, 0, 0]])
    values = words(ids).numpy()
    values = np.tanh(values) if reached else np.repeat(values.sum(-1, keepdims=True), 4, -1)
    kept = (ids != 0)[..., None] if reached and version == "2.2.4-tf" else np.ones((2, 6, 1))
    path = of_version(lambda: model, version, tmp_path / "m.h5")
    loaded = load(path)
    np.testing.assert_allclose(loaded.model(ids), (values * kept).sum(1) / kept.sum(1), rtol=1e-5, atol=1e-6)
    assert loaded.report.proof.startswith("none: tf_keras leaves") is (reached and version == "2.1.6-tf")
    loaded.model.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "again.keras")(ids), loaded.model(ids))


@pytest.mark.runtime
def test_pooled_steps_hide_no_other_difference(monkeypatch, tmp_path):
    model = tk.Sequential([tk.Input((6,)), L.Embedding(5, 4, mask_zero=True), L.GlobalAveragePooling1D()])
    path = of_version(lambda: model, "2.1.6-tf", tmp_path / "m.h5")
    assert "all else agrees" in load(path).report.proof
    right = proof._theirs

    def off(*given, **named):
        version, outputs = right(*given, **named)
        return version, [1.001 * y for y in outputs] if not named["layers"] else outputs

    monkeypatch.setattr(proof, "_theirs", off)
    with pytest.raises(ExportError, match="computes something else from it"):
        load(path)
