"""Files that were broken on purpose, in both formats: none passes, and the report says what is wrong and where."""

import keras
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from exports import EXPORTS
from keras_norms.export import ExportError, to_onnx, verify
from keras_norms.export.verification import compare_input
from models import NORMS, image_net, randomize

import keras_norms

onnx = pytest.importorskip("onnx")
pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here", "answers_kept")]

SUFFIXES = pytest.mark.parametrize("suffix", EXPORTS)


def two_heads(tiny=1.0):
    """Two outputs of one shape, and every layer by name."""
    image = keras.Input((10, 10, 3), name="image")
    x = keras.layers.Conv2D(8, 3, name="stem", use_bias=False)(image)
    x = keras_norms.GroupNormalization(4, name="norm")(x)
    x = keras.layers.Conv2D(8, 3, name="body", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    heads = [keras.layers.Dense(4, name=name)(x) for name in ("left", "right")]
    model = randomize(keras.Model(image, heads, name="two_heads"))
    for head in ("left", "right"):
        model.get_layer(head).set_weights([w * tiny for w in model.get_layer(head).get_weights()])
    return model


@pytest.fixture(scope="module")
def net():
    return two_heads()


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for suffix, export in EXPORTS.items():
        export(net, folder / f"net{suffix}")
    return folder


class File:
    """A file opened for damage, whichever the format."""

    def __init__(self, path):
        self.path, self.is_onnx = path, path.suffix == ".onnx"
        self.model = onnx.load(path) if self.is_onnx else flatbuffer_utils.read_model(str(path))

    def weights(self, rank, which, change):
        """Change the `which`-th constant of a rank, larger than a norm's parameters."""
        if self.is_onnx:
            tensors = [t for t in self.model.graph.initializer if len(t.dims) == rank and np.prod(t.dims) > 16]
            values = change(onnx.numpy_helper.to_array(tensors[which]).copy())
            tensors[which].CopyFrom(onnx.numpy_helper.from_array(values, tensors[which].name))
            return
        stored = lambda t: self.model.buffers[t.buffer].data is not None  # noqa: E731
        tensors = [
            t for t in self.model.subgraphs[0].tensors if len(t.shape) == rank and stored(t) and np.prod(t.shape) > 16
        ]
        tensor = tensors[which]
        values = np.frombuffer(bytes(self.model.buffers[tensor.buffer].data), "float32").reshape(tensor.shape)
        changed = np.ascontiguousarray(change(values.copy()), "float32")
        self.model.buffers[tensor.buffer].data = np.frombuffer(changed.tobytes(), "uint8")

    def rename_output(self, old, new):
        if self.is_onnx:
            for node in self.model.graph.node:
                node.output[:] = [new if name == old else name for name in node.output]
                node.input[:] = [new if name == old else name for name in node.input]
            for value in self.model.graph.output:
                value.name = new if value.name == old else value.name
            return
        for entry in self.model.signatureDefs[0].outputs:
            entry.name = new.encode() if entry.name.decode() == old else entry.name

    def swap_output_names(self):
        for old, new in (("left", "other"), ("right", "left"), ("other", "right")):
            self.rename_output(old, new)

    def save(self, path):
        if self.is_onnx:
            onnx.save(self.model, path)
        else:
            flatbuffer_utils.write_model(self.model, str(path))
        return path


@pytest.fixture(scope="module")
def saved_again(net, files, tmp_path_factory):
    """Both files written again without damage: saving alone breaks nothing."""
    folder = tmp_path_factory.mktemp("same")
    for suffix in EXPORTS:
        assert verify(net, File(files / f"net{suffix}").save(folder / f"net{suffix}")).ok
    return folder


def one_number(by):
    def change(values):
        values.flat[-4] += by
        return values

    return change


# What is done to the weights of a rank: which of them, the change, the layer where the fault then begins.
DAMAGED_WEIGHTS = {
    "one number of the first convolution": (4, 0, one_number(0.3), ("stem", "body")),
    "one number of the second convolution": (4, 1, one_number(0.3), ("stem", "body")),
    "one number of a dense layer": (2, 0, one_number(0.1), ("left", "right")),
    "a dense layer scaled by 1.001": (2, 0, lambda w: w * 1.001, ("left", "right")),
    "not a number": (2, 0, lambda w: w * np.nan, ("left", "right")),
    "infinite": (4, 0, lambda w: w * 0 + np.inf, ("stem", "body")),
    "zero": (4, 1, lambda w: w * 0, ("stem", "body")),
}


@SUFFIXES
@pytest.mark.parametrize("case", DAMAGED_WEIGHTS)
def test_damaged_weights_are_found_and_located(case, suffix, net, saved_again, tmp_path):
    rank, which, change, layers = DAMAGED_WEIGHTS[case]
    file = File(saved_again / f"net{suffix}")
    file.weights(rank, which, change)
    report = verify(net, file.save(tmp_path / f"broken{suffix}"))
    assert not report.ok
    assert report.first_divergence in layers
    assert f"The first layer that diverges is '{report.first_divergence}'" in report.failure()


@SUFFIXES
def test_the_layer_named_is_the_very_one(suffix, net, files, tmp_path):
    """Both formats keep the first convolution's weights apart from the second's by their shapes."""
    found = set()
    for which in (0, 1):
        file = File(files / f"net{suffix}")
        shapes = []
        file.weights(4, which, lambda values, shapes=shapes: shapes.append(values.shape) or one_number(0.3)(values))
        report = verify(net, file.save(tmp_path / f"broken{suffix}"))
        layer = "stem" if sorted(shapes[0]) == [3, 3, 3, 8] else "body"
        assert report.first_divergence == layer
        found.add(layer)
    assert found == {"stem", "body"}


@SUFFIXES
def test_swapped_outputs_of_the_file_itself_are_found(suffix, net, files, tmp_path):
    file = File(files / f"net{suffix}")
    file.swap_output_names()
    report = verify(net, file.save(tmp_path / f"swapped{suffix}"))
    assert not report.ok
    assert not any(output.ok for output in report.outputs.values())
    assert "has what 'right' should have" in report.failure() or "has what 'left' should have" in report.failure()


@SUFFIXES
def test_a_renamed_output_of_our_own_file_is_refused(suffix, net, files, tmp_path):
    file = File(files / f"net{suffix}")
    file.rename_output("left", "logits")
    with pytest.raises(ExportError, match=r"has the outputs \['logits', 'right'\], the model has \['left', 'right'\]"):
        verify(net, file.save(tmp_path / f"renamed{suffix}"))


@SUFFIXES
def test_outputs_all_tiny_with_ten_percent_error(suffix, tmp_path):
    model = two_heads(tiny=1e-9)
    EXPORTS[suffix](model, tmp_path / f"tiny{suffix}")
    file = File(tmp_path / f"tiny{suffix}")
    file.weights(2, 0, lambda w: w * 1.1)
    report = verify(model, file.save(tmp_path / f"broken{suffix}"))
    assert max(output.max_abs for output in report.outputs.values()) < 1e-8
    assert not report.ok


def test_another_dtype_and_another_shape_are_named(net, files, tmp_path):
    for name, add, message in (
        ("dtype", lambda x: onnx.helper.make_node("Cast", [x], ["left"], to=onnx.TensorProto.DOUBLE), "is float64"),
        ("shape", lambda x: onnx.helper.make_node("Transpose", [x], ["left"]), "has the shape [4, 1]"),
    ):
        file = File(files / "net.onnx")
        file.rename_output("left", "inner")
        file.model.graph.node.append(add("inner"))
        for value in file.model.graph.output:
            if value.name == "inner":
                value.CopyFrom(onnx.ValueInfoProto(name="left"))
        report = verify(net, file.save(tmp_path / f"{name}.onnx"))
        assert not report.ok
        assert message in report.failure()


def test_a_nested_and_subclassed_model_has_its_layer_named(tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.stem = keras.layers.Conv2D(8, 3, name="stem")
            self.inner = image_net(NORMS["LayerNormalization"], size=10, channels=8)
            self.head = keras.layers.Dense(3, name="head")

        def call(self, x):
            return self.head(self.inner(self.stem(x)[..., :3]))

    model = Net()
    model(np.zeros((1, 12, 12, 3), "float32"))
    randomize(model)
    to_onnx(model, tmp_path / "net.onnx")
    file = File(tmp_path / "net.onnx")
    sizes = []
    file.weights(4, 2, lambda values: sizes.append(values.shape) or one_number(0.5)(values))
    report = verify(model, file.save(tmp_path / "broken.onnx"))
    assert not report.ok
    assert report.first_divergence == ("conv_1" if sizes[0] == (8, 8, 3, 3) else "conv_0"), sizes


def test_rounding_is_not_measured_on_once_a_file_is_wrong(net, files, tmp_path, monkeypatch):
    """Each measure runs the model up to twenty times."""
    measured, own = [], compare_input.rounding
    monkeypatch.setattr(compare_input, "rounding", lambda *args: (measured.append(args), own(*args))[1])
    file = File(files / "net.onnx")
    file.weights(4, 1, lambda kernel: kernel * 1.01)
    report = verify(net, file.save(tmp_path / "m.onnx"))
    assert not report.ok
    assert len(measured) == 1
    told = [reason for reason in report.skipped if "is wrong on another input" in reason]
    assert len(told) >= 3
    assert all(check.ok for check in report.checks if check.case in {reason.partition(":")[0] for reason in told})


def test_an_output_that_is_not_known_to_be_wrong_is_judged_where_another_is(tmp_path):
    """'left' is wrong on every input, 'right' where a tiny variance shows its epsilon."""
    x = keras.Input((4, 6), name="image")
    norm = keras_norms.LayerNormalization(epsilon=1e-7)
    heads = keras.layers.Dense(3, name="left")(x), keras.layers.Activation("linear", name="right")(norm(x))
    model, path = randomize(keras.Model(x, heads)), tmp_path / "m.onnx"
    to_onnx(model, path)
    norm.epsilon = 1e-9
    model.get_layer("left").kernel.assign(model.get_layer("left").kernel * 1.1)
    assert {check.output for check in verify(model, path).checks if not check.ok} == {"left", "right"}
