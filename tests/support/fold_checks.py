"""Randomized statistics, and everything a fold promises, asserted in one call."""

import json

import keras
import numpy as np
from keras import tree
from keras_norms.export.folding.fold import fold

import keras_norms

BATCH_NORMS = (keras.layers.BatchNormalization, keras_norms.BatchNormalization)
AFFINE_NORMS = (
    *BATCH_NORMS,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras_norms.GroupNormalization,
    keras_norms.InstanceNormalization,
    keras_norms.LayerNormalization,
)


def randomize(model, seed=0, dead=True):
    """Random biases and statistics everywhere; gammas of both signs and, with `dead`, one of exactly zero."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, AFFINE_NORMS):
            for name, draw in (
                ("gamma", lambda s: rng.normal(0.5, 1.0, s)),
                ("beta", lambda s: rng.normal(0.0, 1.0, s)),
                ("moving_mean", lambda s: rng.normal(0.0, 1.0, s)),
                ("moving_variance", lambda s: rng.uniform(0.3, 3.0, s)),
            ):
                weight = getattr(layer, name, None)
                if weight is not None:
                    values = draw(weight.shape)
                    if name == "gamma" and dead and values.size > 2:
                        values.flat[1] = 0.0
                    weight.assign(values)
        elif isinstance(layer, keras.layers.RMSNormalization):
            layer.scale.assign(rng.normal(0.5, 1.0, layer.scale.shape))
        elif getattr(layer, "bias", None) is not None and hasattr(layer.bias, "assign"):
            layer.bias.assign(rng.normal(0.0, 1.0, layer.bias.shape))
    return model


def random_batch(model, batch=2, free=17, seed=7):
    """Random inputs in the structure that the model takes."""
    rng = np.random.default_rng(seed)

    def draw(x):
        shape = [free if n is None else n for n in x.shape]
        shape[0] = x.shape[0] or batch
        dtype = keras.backend.standardize_dtype(x.dtype)
        if "int" in dtype:
            return rng.integers(0, 4, shape).astype(dtype)
        return rng.standard_normal(shape).astype("float32")

    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return tree.map_structure(draw, inputs)


def run(model, x):
    """The flat outputs in inference, as float64."""
    return [
        keras.ops.convert_to_numpy(keras.ops.cast(y, "float64" if y.dtype == "float64" else "float32")).astype(
            "float64"
        )
        for y in tree.flatten(model(tree.map_structure(keras.ops.convert_to_tensor, x), training=False))
    ]


def state(model):
    """All that must not change in a model that is folded."""
    layers = list(model._flatten_layers())
    return {
        "weights": [keras.ops.convert_to_numpy(v.value).tobytes() for v in model.variables],
        "flags": [(v.path, v.trainable) for v in model.variables],
        "layers": [(id(layer), layer.name, layer.trainable, len(layer._inbound_nodes)) for layer in layers],
        "losses": len(model.losses),
        "config": json.dumps(model.get_config(), default=str, sort_keys=True),
    }


def structure(model):
    plain = isinstance(model, keras.Sequential)
    inputs, outputs = (model.inputs, model.outputs) if plain else (model.input, model.output)
    return {
        "class": type(model),
        "inputs": tree.map_structure(lambda x: (x.name, x.shape, x.dtype), inputs),
        "outputs": tree.map_structure(lambda x: (x._keras_history.operation.name, x.shape, x.dtype), outputs),
        "output_names": getattr(model, "output_names", None),
        "name": model.name,
    }


def named_layers(model, prefix=""):
    """(path, layer) of every layer, nested ones too."""
    for layer in getattr(model, "layers", ()):
        yield f"{prefix}{layer.name}", layer
        yield from named_layers(layer, f"{prefix}{layer.name}/")


def assert_close(actual, expected, tolerance):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        scale = np.max(np.abs(e), initial=0.0) or 1.0
        assert np.max(np.abs(a - e), initial=0.0) <= tolerance * scale


def assert_folds(model, folded, kept=(), tolerance=2e-5, x=None):
    """Fold `model`; it must fold exactly the norms `folded` and keep `kept`, and hold all its promises.

    `kept` is a set of names or a mapping from names to a part of the reason.
    """
    x = random_batch(model) if x is None else x
    before, expected = state(model), run(model, x)
    result, report = fold(model)
    assert sorted(r.norm for r in report.folded) == sorted(folded)
    reasons = {r.norm: r.reason for r in report.kept}
    assert sorted(reasons) == sorted(kept)
    if isinstance(kept, dict):
        for norm, part in kept.items():
            assert part in reasons[norm], reasons[norm]
    assert state(model) == before
    assert structure(result) == structure(model)
    assert_close(run(result, x), expected, tolerance)
    assert all(r.error is not None and r.error <= tolerance for r in report.folded)
    assert_survivors(model, result, report)
    again, second = fold(result)
    assert second.folded == []
    assert json.dumps(again.get_config(), default=str) == json.dumps(result.get_config(), default=str)
    for a, b in zip(again.weights, result.weights, strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(a.value), keras.ops.convert_to_numpy(b.value))
    return result, report


def assert_survivors(model, result, report):
    """Layers that took nothing in are the same to the byte, none is shared, only a linear activation may be new."""
    changed = {name for r in (*report.folded, *report.tails) for name in (r.norm, *r.into)}
    old, new = dict(named_layers(model)), dict(named_layers(result))
    assert not {id(layer) for layer in old.values()} & {id(layer) for layer in new.values()}
    assert set(new) <= set(old)
    for path, layer in new.items():
        if path in changed:
            assert type(layer) in (type(old[path]), keras.layers.Activation)
            continue
        assert type(layer) is type(old[path])
        assert layer.trainable == old[path].trainable
        if not hasattr(layer, "layers"):
            ours = [keras.ops.convert_to_numpy(w.value) for w in layer.weights]
            theirs = [keras.ops.convert_to_numpy(w.value) for w in old[path].weights]
            assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
