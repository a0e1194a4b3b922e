"""Every kind of weight in 16, 8 and 4 bits, in both formats: the file runs everywhere, and is as exact as its bits."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.formats import format_of
from keras_norms.export.model.layer_names import scope_of_result
from keras_norms.export.verification.metrics import distance

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]
L = keras.layers
LAYERS = ("plain", "grouped", "depthwise", "up", "words", "query", "mixing", "recurrent", "head", "deep")
FLOOR = {16: 55, 8: 30, 4: 6}


def every_kind():
    """Two inputs in an order that is not that of their names."""
    image, ids = keras.Input((8, 8, 4), name="z_image"), keras.Input((6,), dtype="int32", name="a_ids")
    x = L.Conv2D(16, 3, name="plain")(image)
    x = L.Conv2D(32, 3, 2, "same", groups=2, name="grouped")(x)
    x = L.DepthwiseConv2D(5, padding="same", name="depthwise")(x)
    x = L.Conv2DTranspose(8, 2, 2, name="up")(x)
    x = L.Reshape((6, 6, 8, 1))(x)
    x = L.Conv3D(4, 3, padding="same", name="deep_in")(x)
    x = L.GlobalAveragePooling3D()(L.Conv3D(8, 3, name="deep")(x))
    y = L.Embedding(40, 16, name="words")(ids)
    y = L.EinsumDense("abc,cde->abde", (6, 4, 12), name="query")(y)
    y = L.EinsumDense("abde,bdef->abdf", (6, 4, 8), name="mixing")(y)
    y = L.GRU(16, name="recurrent")(L.Reshape((6, 32))(y))
    return keras.Model([image, ids], L.Dense(24, name="head")(L.Concatenate()([x, y])))


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    images = (rng.normal(size=(24, 8, 8, 1)) * rng.normal(size=(1, 1, 1, 4))).astype("float32")
    return [images, rng.integers(0, 40, (24, 6)).astype("int32")]


@pytest.fixture(scope="module", params=[".tflite", ".onnx"])
def file(request, tmp_path_factory):
    """The model's file in floats, with a batch of 4 for TFLite's recurrent layer."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / f"floats{request.param}"
    if request.param == ".onnx":
        to_onnx(every_kind(), path, opset=21)
    else:
        to_tflite(every_kind(), path, batch_size=4)
    return path


def outputs(path, runner, examples):
    found = []
    for i in range(0, 24, 4):
        feed = dict(zip(("z_image", "a_ids"), (x[i : i + 4] for x in examples), strict=True))
        found.append(next(iter(runner.run(feed).values())))
    return np.concatenate(found)


@pytest.fixture(scope="module")
def stored(file, examples):
    batches = [[x[i : i + 4] for x in examples] for i in range(0, 24, 4)]
    return format_of(file).stored_weights(file, batches, LAYERS, lambda _: None)


def test_every_large_weight_is_found_under_its_layer(stored, file):
    found = {weight.layer for weight in stored.weights}
    unnamed = {"grouped", "recurrent"} if file.suffix == ".tflite" else set()  # the converter drops their names
    assert found >= set(LAYERS) - unnamed
    assert len(stored.weights) == 11, "two of the recurrent layer"
    assert {tuple(weight.bits) for weight in stored.weights} <= {(32, 16, 8, 4), (32, 16, 8)}


@pytest.mark.parametrize("bits", [32, 16, 8, 4])
def test_the_file_is_as_exact_as_its_bits_in_every_runtime(bits, file, stored, examples, tmp_path):
    target, form = tmp_path / file.name, format_of(file)
    wanted = {i: bits for i, weight in enumerate(stored.weights) if bits in weight.bits}
    stored.write(wanted, target)
    numbers = sum(int(np.prod(stored.weights[i].shape)) for i in wanted)
    saved = file.stat().st_size - target.stat().st_size
    assert saved == pytest.approx(numbers * (32 - bits) / 8, rel=0.15, abs=600 * len(wanted))
    expected = outputs(file, form.fastest(file), examples)
    for name, runner in form.runners(target).items():
        db = distance(expected, outputs(target, runner, examples), 0.0).sqnr_db
        assert db > FLOOR.get(bits, 100), name
    kind = {32: None, 16: "float16", 8: "dynamic", 4: "dynamic"}[bits]
    assert form.quantized_as(target) == kind


def test_one_weight_alone_changes_nothing_else(file, stored, examples, tmp_path):
    """Its layer is the first that differs."""
    position = next(i for i, weight in enumerate(stored.weights) if weight.layer == "up")
    target, form = tmp_path / file.name, format_of(file)
    stored.write({position: 4}, target)
    feed = dict(zip(("z_image", "a_ids"), (x[:4] for x in examples), strict=True))
    before, after = dict(form.tensors(file, feed)), dict(form.tensors(target, feed))
    changed = [name for name, values in after.items() if name in before and not np.array_equal(values, before[name])]
    layers = [scope_of_result(name, LAYERS) for name in changed]
    assert next(found[0] for found in layers if found) == "up"
