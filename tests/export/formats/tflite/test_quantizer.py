"""What makes 8 bits go further: equalized channels, kernels rounded for their output, ranges that clip; 16 bits."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, to_tflite
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.op_facts import op_counts
from keras_norms.export.formats.tflite.quantize import equalizing, kernel_rounding, rounding, sensitivity
from keras_norms.export.formats.tflite.quantize import int16x8 as sixteen
from keras_norms.export.formats.tflite.quantize.calibration_look import look
from keras_norms.export.formats.tflite.quantize.observer import watch
from keras_norms.export.formats.tflite.quantize.own_kernels import OwnKernels
from keras_norms.export.formats.tflite.quantize.range_choice import chosen
from keras_norms.export.formats.tflite.quantize.ranges import Extremes, Histograms
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from models import randomize
from norm_mutants import export_unverified
from tflite_files import Op, flatbuffer

import keras_norms

runtime = pytest.mark.runtime


def net(groups, channels=16, size=12):
    """Two convolutions with norms; the channels of each differ in range by a factor of a hundred."""
    x = inputs = keras.Input((size, size, 3), name="x")
    for _ in range(2):
        x = keras.layers.Conv2D(channels, 3, padding="same")(x)
        x = keras.layers.ReLU()(keras_norms.GroupNormalization(groups)(x))
    model = randomize(keras.Model(inputs, keras.layers.Conv2D(4, 1, name="y")(x)))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "y":
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * np.logspace(-2, 0, channels), bias])
    return model


def images(count=24, size=12):
    smooth = np.random.default_rng(3).normal(size=(count, size, size, 3)).cumsum(axis=1).cumsum(axis=2)
    return (smooth / 10).astype("float32")


def run(flatbuffer, x, tmp_path):
    (tmp_path / "run.tflite").write_bytes(flatbuffer)
    return TFLiteRunner(tmp_path / "run.tflite").run({"x": x})["y"]


@pytest.fixture(scope="module")
def flatbuffers(tmp_path_factory):
    """{groups: the float file}; 16 groups of one channel take the exact form of the norm as well.

    Nothing judges them: they are compared with what becomes of them.
    """
    made = {}
    for groups, size in ((4, 12), (16, 12), (4, 40)):
        path = tmp_path_factory.mktemp("float") / "m.tflite"
        export_unverified(net(groups, size=size), path, batch_size=1)
        made[groups, size] = path.read_bytes()
    return made


@runtime
@pytest.mark.parametrize("case", [(4, 12), (16, 12), (4, 40)])
def test_equalizing_changes_no_output(case, flatbuffers, tmp_path):
    x, rng = images(1, case[1]), np.random.default_rng(0)
    expected = run(flatbuffers[case], x, tmp_path)
    graph = Graph(flatbuffers[case])
    pairs = equalizing.pairs(graph)
    assert len(pairs) == 2
    for pair in pairs:
        equalizing.equalize(graph, pair, rng.uniform(0.1, 10.0, 16), rng.normal(size=16))
    np.testing.assert_allclose(run(graph.bytes(), x, tmp_path), expected, atol=2e-5 * np.abs(expected).max())


@runtime
def test_a_convolution_that_anything_else_reads_is_left_alone(tmp_path):
    inputs = keras.Input((12, 12, 3), name="x")
    x = keras.layers.Conv2D(8, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Add(name="y")([keras_norms.GroupNormalization(2)(x), x]))
    export_unverified(randomize(model), tmp_path / "m.tflite", batch_size=1)
    assert not equalizing.pairs(Graph((tmp_path / "m.tflite").read_bytes()))


@runtime
def test_channels_that_never_move_are_not_scaled_out_of_bounds(tmp_path):
    """XNNPACK refuses a file whose weights, times the step of the input, are 256 steps of the output and more."""
    inputs = keras.Input((12, 12, 3), name="x")
    x = keras.layers.ReLU()(keras.layers.Conv2D(8, 3, name="first")(inputs))
    x = keras_norms.GroupNormalization(2)(keras.layers.DepthwiseConv2D(3)(x))
    model = randomize(keras.Model(inputs, keras.layers.Conv2D(4, 1)(keras.layers.ReLU()(x))))
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel, np.where(np.arange(8) % 4 == 0, -100.0, bias)])
    report = to_tflite(model, tmp_path / "m.tflite", quantize="int8", calibration=images(16, 12), batch_size=1)
    assert report.verification.ok


def read_by_two_norms(x):
    return [keras_norms.GroupNormalization(2, name="a")(x), keras_norms.GroupNormalization(2, name="b")(x)]


def an_output_too(x):
    return [keras_norms.GroupNormalization(2, name="a")(x), x]


@runtime
@pytest.mark.parametrize("shared", [read_by_two_norms, an_output_too])
def test_a_convolution_whose_output_is_shared_is_left_alone(shared, tmp_path):
    inputs = keras.Input((6, 6, 3), name="x")
    model = keras.Model(inputs, shared(keras.layers.Conv2D(8, 3)(inputs)))
    export_unverified(randomize(model), tmp_path / "m.tflite", batch_size=1)
    assert not equalizing.pairs(Graph((tmp_path / "m.tflite").read_bytes()))


def to_grid(kernel):
    scale = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
    return np.round(kernel / scale) * scale


@runtime
def test_kernels_are_rounded_for_their_output_and_stay_on_the_grid(flatbuffers, tmp_path):
    x = images()
    noise = {}
    expected = np.concatenate([run(flatbuffers[4, 12], one[None], tmp_path) for one in x])
    for way in ("nearest", "output"):
        graph = Graph(flatbuffers[4, 12])
        for op in rounding.layers(graph):
            if way == "nearest":
                rounded = graph.add_constant(to_grid(graph.constant(int(op.inputs[1]))), "rounded")
                op.inputs = np.array([op.inputs[0], rounded, op.inputs[2]], np.int32)
                continue
            patches = rounding.patches_of_kernel(graph, op, len(x))
            watch(flatbuffers[4, 12], [[one[None]] for one in x], [int(op.inputs[0])], lambda _, v, p=patches: p.add(v))
            rounding.round_kernel(graph, op, patches)
            kernel = graph.constant(int(op.inputs[1]))
            np.testing.assert_allclose(kernel, to_grid(kernel), atol=1e-6 * np.abs(kernel).max())
        got = np.concatenate([run(graph.bytes(), one[None], tmp_path) for one in x])
        noise[way] = np.square(got - expected).mean()
    assert noise["output"] < 0.5 * noise["nearest"]


def test_the_bias_takes_up_what_rounding_does_to_the_mean():
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 8)).astype("float32"), rng.normal(size=3).astype("float32")
    made = Op("FULLY_CONNECTED", ["x", "w", "b"], "y", (1, 3))
    graph = Graph(flatbuffer({"x": (1, 8)}, {"w": kernel, "b": bias}, [made], ["y"]))
    (op,) = graph.ops
    patches, x = rounding.patches_of_kernel(graph, op, 1), 5 + rng.normal(size=(200, 8)).astype("float32")
    patches.add(x)
    rounding.round_kernel(graph, op, patches)
    rounded, corrected = (graph.constant(int(i)) for i in op.inputs[1:])
    wanted = (x @ kernel.T + bias).mean(0)
    assert np.abs(x.mean(0) @ (rounded - kernel).T).max() > 1e-3
    np.testing.assert_allclose((x @ rounded.T + corrected).mean(0), wanted, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2])
def test_patches_are_what_the_convolution_multiplies(padding, strides):
    model = keras.Sequential([keras.Input((7, 8, 2), name="x"), keras.layers.Conv2D(3, (3, 2), strides, padding)])
    kernel, bias = randomize(model).layers[-1].get_weights()
    options = {"padding": int(padding == "valid"), "strideH": strides, "strideW": strides}
    op = Op("CONV_2D", ["x", "w", "b"], "y", (1, *model.output_shape[1:]), options)
    graph = Graph(flatbuffer({"x": (1, 7, 8, 2)}, {"w": kernel.transpose(3, 0, 1, 2), "b": bias}, [op], ["y"]))
    (op,), x = rounding.layers(graph), np.random.default_rng(0).normal(size=(1, 7, 8, 2))
    patches = rounding.patches_of_kernel(graph, op, 1)
    rows = patches.cut(x)
    kernel = graph.constant(int(op.inputs[1])).reshape(3, -1)
    expected = model(x.astype("float32")) - model.layers[-1].bias
    np.testing.assert_allclose(rows @ kernel.T, np.reshape(expected, (-1, 3)), atol=1e-5)


@pytest.mark.parametrize("times", [1, 2])
def test_depthwise_kernels_are_rounded_for_what_each_channel_gets(times):
    """Nine weights to the nearest step shift the mean of a channel; the output's error is what counts."""
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(1, 3, 3, 4 * times)).astype("float32"), np.zeros(4 * times, "float32")
    x = (5 + rng.normal(size=(40, 8, 9, 4)).cumsum(axis=1)).astype("float32")
    options = {"padding": 1, "strideH": 1, "strideW": 1, "depthMultiplier": times}
    op = Op("DEPTHWISE_CONV_2D", ["x", "w", "b"], "y", (1, 6, 7, 4 * times), options)
    graph = Graph(flatbuffer({"x": (1, 8, 9, 4)}, {"w": w, "b": b}, [op], ["y"]))
    (op,) = kernel_rounding.rounded_layers(graph)
    patches = kernel_rounding.patches_of(graph, op, len(x))
    for one in x:
        patches.add(one[None])
    kernel_rounding.round_layer(graph, op, patches)
    rounded, corrected = (graph.constant(int(i)) for i in op.inputs[1:])
    scale = np.abs(w).max((0, 1, 2)) / 127
    steps = rounded / scale
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    np.testing.assert_allclose(np.abs(rounded).max((0, 1, 2)), np.abs(w).max((0, 1, 2)), rtol=1e-6)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2)).repeat(times, axis=3)

    def output(kernel):
        return np.einsum("nijckl,klc->nijc", windows, kernel[0])

    nearest = output(np.round(w / scale) * scale) - output(w)
    errors = output(rounded) + corrected - output(w)
    assert np.square(errors).mean() < np.square(nearest).mean() / 3
    assert np.abs(errors.mean((0, 1, 2))).max() < 0.01


def test_a_range_is_clipped_where_that_loses_less():
    values = np.random.default_rng(0).normal(size=100_000).astype("float32")
    values[0] = 40.0
    extremes = Extremes()
    extremes.see(0, values)
    histograms = Histograms(extremes)
    histograms.see(0, values)
    low, high = histograms.best(0)
    assert 38 < high < 39.5, "where four times the outlier's error and the width of a step balance"
    assert low < -3
    assert (extremes.low[0], extremes.high[0]) == (values.min(), 40.0)


@runtime
def test_the_layer_that_eight_bits_hurt_is_found(flatbuffers):
    """A range far too wide for a convolution's output leaves nothing of it."""
    flatbuffer, x = flatbuffers[4, 12], [[one[None]] for one in images(4)]
    graph, extremes = Graph(flatbuffer), Extremes()
    small = [i for i, op in enumerate(graph.ops) if graph.kind(op) == "CONV_2D" and graph.shape(op.inputs[1])[1] == 1]
    large = [i for i, op in enumerate(graph.ops) if graph.kind(op) == "CONV_2D" and i not in small]
    tensors = {int(graph.ops[i].inputs[0]) for i in (*small, *large)} | {int(graph.ops[i].outputs[0]) for i in large}
    watch(flatbuffer, x, tensors, extremes.see)
    ranges = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in tensors}
    first = int(graph.ops[large[0]].outputs[0])  # the second has more than a fifth of the multiplications
    low, high = ranges[first]
    worse = {**ranges, first: (300 * low, 300 * high)}
    assert large[0] in sensitivity.most_sensitive(flatbuffer, worse, x)
    assert large[0] not in sensitivity.most_sensitive(flatbuffer, ranges, x)


@runtime
def test_more_layers_stay_in_float_where_the_noise_is_large(tmp_path):
    """Each of three layers has a third of the multiplications, more than what may stay in float without need."""
    x = inputs = keras.Input((8, 8, 8), name="x")
    for _ in range(3):
        x = keras_norms.GroupNormalization(2)(keras.layers.Conv2D(8, 3, padding="same")(x))
    export_unverified(randomize(keras.Model(inputs, x)), tmp_path / "m.tflite", batch_size=1)
    content = (tmp_path / "m.tflite").read_bytes()
    data = [[one[None]] for one in np.random.default_rng(0).normal(size=(8, 8, 8, 8)).astype("float32")]
    graph, extremes = Graph(content), Extremes()
    layers = [i for i, op in enumerate(graph.ops) if graph.kind(op) == "CONV_2D"]
    tensors = {int(t) for i in layers for t in (graph.ops[i].inputs[0], graph.ops[i].outputs[0])}
    watch(content, data, tensors, extremes.see)
    ranges = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in tensors}
    assert not sensitivity.most_sensitive(content, ranges, data)
    first = int(graph.ops[layers[0]].outputs[0])
    ranges[first] = (30 * extremes.low[first], 30 * extremes.high[first])
    assert sensitivity.most_sensitive(content, ranges, data) == [layers[0]]


@runtime
def test_a_layer_in_float_gets_its_own_kernel_again(flatbuffers, tmp_path):
    x, graph = images(4), Graph(flatbuffers[4, 12])
    expected = run(flatbuffers[4, 12], x[:1], tmp_path)
    kernels = OwnKernels(graph, sensitivity.LAYERS)
    pairs = equalizing.pairs(graph)
    extremes = look(graph, flatbuffers[4, 12], [[one[None]] for one in x], lambda said: None, [p.x for p in pairs])
    scaled = {}
    for pair in pairs:
        low, high = extremes.channels[pair.x]
        scaled[id(pair.convolution)] = equalizing.scales(high - low), (low + high) / 2.0
        equalizing.equalize(graph, pair, *scaled[id(pair.convolution)])
    rounded = run(graph.bytes(), x[:1], tmp_path)
    assert len(scaled) == 2
    assert np.abs(rounded - expected).max() > 1e-4 * np.abs(expected).max()
    for op in graph.ops:
        if graph.kind(op) in sensitivity.LAYERS:
            kernels.restore(op, scaled.get(id(op)))
    restored = run(graph.bytes(), x[:1], tmp_path)
    np.testing.assert_allclose(restored, expected, atol=2e-5 * np.abs(expected).max())


@runtime
def test_a_pooling_behind_a_norm_stays_in_float(tmp_path):
    """The sum behind it takes what the norm computed, not that rounded to 8 bits."""
    x = keras.Input((12, 12, 3), name="x")
    y = keras_norms.GroupNormalization(2)(keras.layers.Conv2D(8, 3, padding="same")(x))
    y = keras.layers.MaxPooling2D(2)(y)
    y = keras.layers.Add(name="y")([y, keras.layers.Conv2D(8, 3, padding="same")(y)])
    options = {"quantize": "int8", "calibration": images(16), "batch_size": 1}
    to_tflite(randomize(keras.Model(x, y)), tmp_path / "m.tflite", **options)
    graph = Graph((tmp_path / "m.tflite").read_bytes())
    (pooling,) = [op for op in graph.ops if graph.kind(op) == "MAX_POOL_2D"]
    assert graph.is_float(int(pooling.inputs[0]))
    assert graph.is_float(int(pooling.outputs[0]))


@runtime
def test_sixteen_bits_take_inputs_larger_than_in_calibration(tmp_path):
    """In a file of 16 bits throughout, too, ranges are twice as wide as seen."""
    x = keras.Input((8, 8, 3), name="x")
    y = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    model = randomize(keras.Model(x, keras.layers.Conv2D(4, 1, name="y")(y)))
    data = np.random.default_rng(0).uniform(-1, 1, (16, 8, 8, 3)).astype("float32")
    to_tflite(model, tmp_path / "m.tflite", quantize="int16x8", calibration=data, batch_size=1)
    large = 1.9 * data[:1]
    expected, got = np.asarray(model(large)), TFLiteRunner(tmp_path / "m.tflite").run({"x": large})["y"]
    assert np.square(got - expected).sum() < 1e-4 * np.square(expected).sum()


@runtime
def test_whole_ranges_where_the_network_loses_less_so(flatbuffers):
    content = flatbuffers[4, 12]
    extremes = Extremes()
    extremes.see(0, np.float32([-2, 3]))
    clipped, whole = {0: (-1.0, 1.0)}, {0: (-2.0, 3.0)}
    given = [[one[None]] for one in images(3)]

    def made(best):
        return lambda ranges: content if ranges == best else flatbuffers[16, 12]

    assert chosen(clipped, extremes, made(whole), content, given) == whole
    assert chosen(clipped, extremes, made(clipped), content, given) == clipped


@runtime
def test_sixteen_bits_lose_next_to_nothing(flatbuffers, tmp_path):
    """With kernels that 8 bits hold exactly, what is left is the rounding of 16-bit activations."""
    x, graph = images(1), Graph(flatbuffers[4, 12])
    for op in sixteen.layers(graph):
        rounded = graph.add_constant(to_grid(graph.constant(int(op.inputs[1]))), "rounded")
        op.inputs = np.array([op.inputs[0], rounded, op.inputs[2]], np.int32)
    flatbuffer = graph.bytes()
    expected, extremes = run(flatbuffer, x, tmp_path), Extremes()
    tensors = {int(t) for op in sixteen.layers(graph) for t in (op.inputs[0], op.outputs[0])}
    watch(flatbuffer, [[x]], tensors, extremes.see)
    sixteen.quantize(graph, {tensor: extremes.largest(tensor) for tensor in tensors})
    (tmp_path / "m.tflite").write_bytes(graph.bytes())
    assert op_counts(tmp_path / "m.tflite")["QUANTIZE"] == 3
    got = TFLiteRunner(tmp_path / "m.tflite").run({"x": x})["y"]
    assert np.square(got - expected).mean() < 1e-7 * np.square(expected).mean()


@runtime
def test_int8_keeps_little_contrast_and_says_what_stays_in_float(tmp_path):
    """One 8-bit range for channels that differ a hundredfold would keep nothing of the small ones."""
    x = images(32)
    report = to_tflite(net(16), tmp_path / "m.tflite", quantize="int8", calibration=x, batch_size=1)
    assert report.verification.outputs["y"].sqnr_db > 28
    (note,) = [warning for warning in report.warnings if "in float stay" in warning]
    assert "2 norms, whose statistics" in note


@runtime
@pytest.mark.parametrize("mode", ["int8", "int16x8"])
def test_a_layer_that_is_always_zero_has_an_ordinary_grid(mode, tmp_path):
    """As after a training that diverged. With steps of nearly nothing no integer would hold the bias behind it."""
    x = keras.Input((6, 6, 2))
    dead = keras.layers.Conv2D(4, 3, activation="relu", bias_initializer=keras.initializers.Constant(-50.0))(x)
    y = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(dead))
    y = keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(0.7))(y)
    model = keras.Model(x, keras.layers.Add()([y, keras.layers.Dense(3)(keras.layers.Flatten()(x))]))
    data = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    assert to_tflite(model, tmp_path / "m.tflite", quantize=mode, calibration=data).verification.ok


@runtime
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_integer_inputs_and_outputs_on_request(norm, tmp_path):
    made = {"batch": keras.layers.BatchNormalization, "group": lambda: keras_norms.GroupNormalization(4)}[norm]
    model = keras.Sequential([keras.Input((12, 12, 3), name="x"), keras.layers.Conv2D(16, 3, name="conv"), made()])
    randomize(model)
    path, x = tmp_path / "m.tflite", images(32)
    report = to_tflite(model, path, quantize="int8", calibration=x, io_dtype="int8", batch_size=1)
    assert report.verification.ok
    graph = Graph(path.read_bytes())
    ends = [graph.tensors[int(i)].type for i in (*graph.subgraph.inputs, *graph.subgraph.outputs)]
    assert ends == [9, 9], "INT8"
    got = TFLiteRunner(path).run({"x": x[:1]})
    (got,) = got.values()
    expected = model(x[:1])
    assert np.square(got - expected).mean() < 10**-2.5 * np.square(expected).mean()


@runtime
@pytest.mark.parametrize("groups", [4, 16])
def test_dynamic_kernels_are_rounded_for_what_the_layers_get(groups, tmp_path):
    """The same operations and sizes, less noise: by at least a decibel, where the layers' inputs are correlated."""
    model, x = net(groups), images()
    expected = np.asarray(model(x, training=False))
    noise = {}
    for name, calibration in (("nearest", None), ("rounded", x)):
        path = tmp_path / f"{name}.tflite"
        to_tflite(model, path, quantize="dynamic", calibration=calibration)
        got = TFLiteRunner(path).run({"x": x})["y"]
        noise[name] = 10 * np.log10(np.mean((got - expected) ** 2) / np.mean(expected**2))
    assert noise["rounded"] < noise["nearest"] - 1, noise
    assert op_counts(tmp_path / "rounded.tflite") == op_counts(tmp_path / "nearest.tflite")
    sizes = [(tmp_path / f"{name}.tflite").stat().st_size for name in noise]
    assert sizes[1] - sizes[0] < 1024, sizes


def test_calibration_of_a_file_that_needs_tensorflows_kernels_is_refused(tmp_path):
    with pytest.raises(ExportError, match="calibration does not go with allow_flex"):
        to_tflite(net(4), tmp_path / "m.tflite", quantize="dynamic", calibration=images(), allow_flex=True)


@runtime
def test_an_epsilon_that_a_half_cannot_hold_stays_whole(tmp_path):
    """As a half, 1e-8 is zero, and a constant sample would be 0 / 0."""
    x = keras.Input((6, 6, 16), name="x")
    y = keras_norms.LayerNormalization(epsilon=1e-8)(x)
    model = randomize(keras.Model(x, keras.layers.Conv2D(32, 3, name="y")(y)))
    to_tflite(model, tmp_path / "m.tflite", quantize="float16")
    assert op_counts(tmp_path / "m.tflite")["DEQUANTIZE"] == 2, "kernel and bias, which have gamma and beta in them"
    runner, rng = TFLiteRunner(tmp_path / "m.tflite"), np.random.default_rng(0)
    for sample in (np.full((1, 6, 6, 16), 3.0), 1e-4 * rng.normal(size=(1, 6, 6, 16))):
        expected = np.asarray(model(sample.astype("float32"), training=False))
        np.testing.assert_allclose(runner.run({"x": sample.astype("float32")})["y"], expected, atol=5e-3)
