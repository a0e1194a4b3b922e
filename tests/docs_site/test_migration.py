"""What docs/migration.md says of other libraries, asked of them: defaults by signature, traps by running them."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_norms

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
RENORM = pytest.mark.skipif(
    "renorm" not in inspect.signature(keras.layers.BatchNormalization).parameters, reason="this Keras has no renorm"
)

# Heading, the module, and the classes that a bare `name=value` may belong to.
LIBRARIES = {
    "Keras: BatchNormalization": ("keras.layers", ["BatchNormalization"]),
    "Keras: renorm=True": ("keras.layers", ["BatchNormalization"]),
    "Keras: the other norms": ("keras.layers", []),
    "PyTorch": ("torch.nn", ["BatchNorm2d"]),
    "flax": ("flax.linen", ["BatchNorm", "GroupNorm", "LayerNorm", "InstanceNorm"]),
}
# Values that are no defaults: the page says what they mean when they are given.
GIVEN = {"groups=-1", "LayerNormalization(rms_scaling=True)", "momentum=None"}


def theirs(section):
    """The code spans in the first column of a section's tables that have an argument."""
    text = PAGE[PAGE.index(f"## {section}\n") :]
    text = text[: text.find("\n## ", 5)] if "\n## " in text[5:] else text
    cells = [row.split("|")[1] for row in re.findall(r"^\|.*", text, re.MULTILINE)]
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if re.fullmatch(r"\w+(=|\().*", span)]


def defaults_of(span, classes):
    """(class name, {argument: default}) that a span claims; of a bare argument for each class."""
    call = ast.parse(span if span.endswith(")") else f"_({span})", mode="eval").body
    claimed = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    named = [call.func.id] if call.func.id != "_" else classes
    return [(name, claimed) for name in named]


@pytest.mark.parametrize("section", LIBRARIES)
def test_defaults_are_those_of_the_library(section):
    module, classes = LIBRARIES[section]
    pytest.importorskip(module.split(".")[0])
    module = importlib.import_module(module)
    spans = [span for span in theirs(section) if span not in GIVEN]
    assert spans
    for span in spans:
        if "renorm" in span and "renorm" not in inspect.signature(keras.layers.BatchNormalization).parameters:
            continue
        signatures = [
            (inspect.signature(getattr(module, name)).parameters, c) for name, c in defaults_of(span, classes)
        ]
        assert any(all(n in s and s[n].default == v for n, v in c.items()) for s, c in signatures), span


@pytest.mark.parametrize("name", ["BatchNormalization", "GroupNormalization", "LayerNormalization"])
def test_what_both_have_has_one_default(name):
    ours = inspect.signature(getattr(keras_norms, name)).parameters
    keras_has = inspect.signature(getattr(keras.layers, name)).parameters
    shared = {n for n in ours if n in keras_has} - {"kwargs"}
    assert {n: ours[n].default for n in shared} == {n: keras_has[n].default for n in shared}
    assert {n for n in keras_has if not n.startswith("renorm")} - {"kwargs", "rms_scaling"} <= shared


X = np.random.default_rng(0).normal(3, 2, (4, 5, 5, 8)).astype("float32")
VARIANCE, COUNT = X.var((0, 1, 2)), 100
UNBIASED = VARIANCE * COUNT / (COUNT - 1)


def first_step(layer, x=X, **how):
    return np.asarray(keras.ops.convert_to_numpy(layer(x, training=True, **how)))


def kept(layer):
    return np.asarray(layer.moving_variance)


def test_moving_variances():
    import tf_keras

    for layers in (keras.layers, keras_norms):
        first_step(norm := layers.BatchNormalization(momentum=0.0))
        np.testing.assert_allclose(kept(norm), VARIANCE, rtol=1e-5)
    first_step(norm := tf_keras.layers.BatchNormalization(momentum=0.0))
    np.testing.assert_allclose(kept(norm), UNBIASED, rtol=1e-5)
    first_step(norm := tf_keras.layers.BatchNormalization(momentum=0.0), X.reshape(-1, 8))
    np.testing.assert_allclose(kept(norm), VARIANCE, rtol=1e-5)


def test_of_pytorch():
    torch = pytest.importorskip("torch")
    norm = torch.nn.BatchNorm2d(8, momentum=1.0)
    y = norm(torch.tensor(X.transpose(0, 3, 1, 2))).detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(norm.running_var, UNBIASED, rtol=1e-5)
    np.testing.assert_allclose(y, (X - X.mean((0, 1, 2))) / np.sqrt(VARIANCE + 1e-5), atol=1e-4)
    norm = torch.nn.BatchNorm2d(8)
    norm(torch.tensor(X.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(norm.running_mean, 0.1 * X.mean((0, 1, 2)), rtol=1e-4)
    assert keras_norms.from_torch_norm(norm).momentum == pytest.approx(0.9)
    assert keras_norms.from_torch_norm(torch.nn.BatchNorm2d(8, momentum=None)).momentum == 0.99


def test_of_flax():
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    norm = linen.BatchNorm(use_running_average=False, momentum=0.0)
    weights = norm.init(jax.random.PRNGKey(0), X)
    assert set(weights["params"]) == {"scale", "bias"}
    _, state = norm.apply(weights, X, mutable=["batch_stats"])
    np.testing.assert_allclose(state["batch_stats"]["var"], VARIANCE, rtol=1e-4)
    far = np.float32(1e4) + X
    for fast, right in ((True, False), (False, True)):
        norm = linen.LayerNorm(use_fast_variance=fast)
        y = norm.apply(norm.init(jax.random.PRNGKey(0), X), far)
        off = np.abs(y - keras_norms.LayerNormalization(epsilon=1e-6)(far)).max()
        assert bool(off < 0.1) is right


@RENORM
def test_renorm_without_limits_returns_nearly_its_input():
    import tf_keras

    for layers in (keras.layers, tf_keras.layers):
        y = first_step(layers.BatchNormalization(renorm=True))
        assert np.abs(y - X).max() < 1e-2
    assert np.abs(first_step(keras_norms.BatchRenormalization()).mean()) < 1e-5


@RENORM
def test_renorm_has_no_lower_limit_unless_given():
    import tf_keras

    small = (X - X.mean((0, 1, 2))) * np.float32(1e-2)
    for layers in (keras.layers, tf_keras.layers):
        y = first_step(layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 3.0, "dmax": 0.0}), small)
        assert y.std() == pytest.approx(small.std(), rel=1e-2)
    constant = keras_norms.RenormSchedule.constant(3, 0)
    assert first_step(keras_norms.BatchRenormalization(schedule=constant), small).std() > 5 * small.std()


@RENORM
def test_renorm_averages_the_deviation_everywhere():
    import tf_keras

    deviation = np.sqrt(VARIANCE + 1e-3)
    for layers in (keras.layers, tf_keras.layers):
        first_step(norm := layers.BatchNormalization(renorm=True))
        np.testing.assert_allclose(kept(norm), (0.99 + 0.01 * deviation) ** 2 - 1e-3, rtol=1e-4)
    first_step(norm := keras_norms.BatchRenormalization(schedule=keras_norms.RenormSchedule.constant(3, 5)))
    np.testing.assert_allclose(kept(norm), (0.99 * np.sqrt(1 + 1e-3) + 0.01 * deviation) ** 2 - 1e-3, rtol=1e-4)


def test_traps_of_keras():
    """If one of these fails, Keras was mended: take the sentence off the page."""
    batch, masked = X.reshape(4, 25, 8), np.zeros((4, 25), bool)
    first_step(norm := keras.layers.BatchNormalization(), batch, mask=masked)
    assert not np.allclose(kept(norm), 1)
    first_step(norm := keras_norms.BatchNormalization(), batch, mask=masked)
    assert np.allclose(kept(norm), 1)
    first_step(norm := keras.layers.BatchNormalization(), X[:0])
    assert np.isnan(kept(norm)).all()
    for layers, finite in ((keras.layers, False), (keras_norms, True)):
        y = first_step(layers.BatchNormalization(dtype="mixed_float16"), X * np.float32(1e5))
        assert np.isfinite(y).all() == finite
    with pytest.raises(TypeError, match="mask"):
        keras.layers.GroupNormalization(4)(batch, mask=masked)
    group, layer = keras.layers.GroupNormalization(-1), keras.layers.LayerNormalization()
    group.build((None, 5, 8))
    layer.build((None, 8))
    assert group.get_config()["groups"] == 8
    assert layer.get_config()["axis"] == [-1]
    keras.layers.BatchNormalization(momentum=2, epsilon=-1)
