"""What is done to a float graph before it is written in integers changes nothing of what it computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export.formats.tflite.chips.memory_plan import Result, placed
from keras_norms.export.formats.tflite.convert.drop_unused import drop_unused
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph, position, replace_input
from keras_norms.export.formats.tflite.quantize.integers.equal_channels import equalize, equalize_all
from keras_norms.export.formats.tflite.quantize.integers.fold_means import fold_means
from keras_norms.export.formats.tflite.quantize.integers.pattern import norms
from keras_norms.export.formats.tflite.quantize.integers.rewrite import steps_of_largest
from keras_norms.export.formats.tflite.quantize.integers.two_roots import add_second_roots
from keras_norms.export.model.signature import signature
from keras_norms.export.saved_model.record import record
from models import randomize
from tflite_files import run

import keras_norms

L = keras.layers
NORMS = {
    "group": lambda: keras_norms.GroupNormalization(4),
    "one group": lambda: keras_norms.GroupNormalization(1),
    "instance": keras_norms.InstanceNormalization,
    "layer": keras_norms.LayerNormalization,
    "rms": L.RMSNormalization,
    "neither gamma nor beta": lambda: keras_norms.InstanceNormalization(scale=False, center=False),
    "group without gamma": lambda: keras_norms.GroupNormalization(2, scale=False, center=False),
}
runtime = pytest.mark.runtime


def float_file(norm, folder, shared=False):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3), batch_size=1)
    x = L.Conv2D(8, 3)(image)
    y = L.ReLU()(norm()(x))
    model = randomize(keras.Model(image, L.Concatenate()([x, y]) if shared else y))
    record(model, folder, signature(model), channels_first=False, form="integer")
    return bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return {name: float_file(norm, tmp_path_factory.mktemp("m")) for name, norm in NORMS.items()}


def outputs(content):
    x = np.random.default_rng(1).normal(0.3, 1.0, (1, 6, 6, 3)).astype("float32")
    (name,) = [bytes(entry.name).decode() for entry in Graph(content).model.signatureDefs[0].inputs]
    (y,) = run(content, {name: x}).values()
    return y


@runtime
@pytest.mark.parametrize("norm", NORMS)
def test_folded_means_and_equalized_channels_change_no_output(norm, files):
    graph, rng = Graph(files[norm]), np.random.default_rng(0)
    fold_means(graph)
    found = norms(graph)
    assert len(found) == 1
    offset = rng.normal(size=8) if found[0].means else np.zeros(8)
    scale = 2.0 ** rng.integers(-2, 4, 8)
    undoes = norm not in ("one group", "group without gamma")  # nowhere to take a scale by channel back
    if undoes:
        equalize(graph, found[0], scale, offset)
    kinds = [graph.kind(op) for op in graph.ops]
    assert ("SUB" in kinds) == (norm not in ("layer", "rms"))
    expected = outputs(files[norm])
    np.testing.assert_allclose(outputs(graph.bytes()), expected, atol=3e-5 * np.abs(expected).max())


@runtime
@pytest.mark.parametrize("norm", NORMS)
def test_scales_are_powers_of_two_and_bring_channels_together(norm, files):
    graph = Graph(files[norm])
    examples = [[np.random.default_rng(i).normal(size=(1, 6, 6, 3)).astype("float32")] for i in range(4)]
    fold_means(graph)
    before = graph.constant(int(norms(graph)[0].layer.inputs[1]))
    equalize_all(graph, examples, narrow=True)
    ratio = graph.constant(int(norms(graph)[0].layer.inputs[1])) / before
    exponents = np.log2(ratio[ratio == ratio])
    np.testing.assert_allclose(exponents, np.round(exponents), atol=1e-6)
    expected = outputs(files[norm])
    np.testing.assert_allclose(outputs(graph.bytes()), expected, atol=3e-5 * np.abs(expected).max())


@runtime
@pytest.mark.parametrize("norm", ["group", "instance", "layer", "rms"])
def test_a_layer_that_anything_else_reads_is_left_alone(norm, tmp_path):
    assert not norms(Graph(float_file(NORMS[norm], tmp_path, shared=True)))


@runtime
@pytest.mark.parametrize("norm", ["group", "instance", "layer", "rms"])
def test_second_roots_have_a_grid_of_their_own_and_change_no_output(norm, files):
    graph = Graph(files[norm])
    ranges = {int(i): (-64.0, 64.0) for op in graph.ops for i in op.outputs}
    add_second_roots(graph, ranges)
    roots = [op for op in graph.ops if graph.kind(op) == "RSQRT"]
    assert len(roots) == 2
    assert min(ranges[int(op.inputs[0])][1] for op in roots) == 1.0
    for op in [op for op in graph.ops if graph.kind(op) == "QUANTIZE"]:  # rounds again, which floats do not
        for reader in graph.users(int(op.outputs[0])):
            replace_input(reader, int(op.outputs[0]), int(op.inputs[0]))
        del graph.ops[position(graph, op)]
    graph.index()
    np.testing.assert_array_equal(outputs(graph.bytes()), outputs(files[norm]))


def test_whole_weights_get_whole_steps():
    assert steps_of_largest(np.full((4, 4), 0.3)) == 127
    assert steps_of_largest(np.array([1.0, 0.5, 0.25, 1 / 64])) == 64
    assert steps_of_largest(np.array([1.0, 0.3])) == 127
    assert steps_of_largest(np.zeros(3)) == 127


@runtime
def test_unused_tensors_and_buffers_go(files):
    graph = Graph(files["group"])
    graph.add_constant(np.ones(1000, np.float32), "unused")
    with_unused = graph.bytes()
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(with_unused))
    drop_unused(model)
    found = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    used = {int(i) for op in Graph(found).ops for i in (*op.inputs, *op.outputs)}
    assert used == set(range(len(Graph(found).tensors)))
    assert len(model.buffers) <= len(used) + 3
    np.testing.assert_array_equal(outputs(found), outputs(with_unused))


def test_results_that_live_together_do_not_overlap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first = rng.integers(0, 20, 30)
        found = [
            Result(i, int(s) * 16, int(f), int(f + d))
            for i, (s, f, d) in enumerate(zip(rng.integers(1, 60, 30), first, rng.integers(0, 6, 30), strict=True))
        ]
        offsets = placed(found)
        assert set(offsets) == set(found)
        for a in found:
            for b in found:
                if a is not b and a.first <= b.last and b.first <= a.last:
                    assert offsets[a] + a.size <= offsets[b] or offsets[b] + b.size <= offsets[a]


def test_a_plan_is_better_than_the_largest_first():
    """Sizes of 16 bytes, and the first and last operator: placed by size alone these end at 192 bytes."""
    lives = [(5, 0, 0), (2, 4, 6), (4, 3, 5), (1, 2, 3), (3, 0, 2), (1, 4, 5), (4, 2, 4)]
    found = [Result(i, 16 * size, first, last) for i, (size, first, last) in enumerate(lives)]
    assert max(offset + result.size for result, offset in placed(found).items()) == 176
