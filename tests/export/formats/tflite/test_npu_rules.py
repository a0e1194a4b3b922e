"""Our rules of what an NPU runs are Vela's, and LiteRT's reciprocal root in 16 bits is the table that Vela compiles."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, to_tflite
from keras_norms.export.formats.tflite.chips import vela
from keras_norms.export.formats.tflite.chips.npu_rules import left_out
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph, Quantized
from keras_norms.export.formats.tflite.interpreter import open_interpreter
from models import randomize
from norm_mutants import export_unverified
from tflite_files import Op, flatbuffer

import keras_norms

L = keras.layers
runtime = pytest.mark.runtime
with_vela = pytest.mark.skipif(not vela.installed(), reason="ethos-u-vela is not installed")


def images(count):
    return np.random.default_rng(0).normal(size=(count, 12, 12, 3)).astype("float32")


def net(*layers):
    keras.utils.set_random_seed(0)
    return randomize(keras.Sequential([keras.Input((12, 12, 3)), *layers, L.Flatten(), L.Dense(2)]))


def group_norm_net():
    return net(L.Conv2D(8, 3, strides=2), keras_norms.GroupNormalization(4, name="norm"), L.ReLU())


def attention():
    x = keras.Input((12, 12, 3))
    y = L.Reshape((16, 27))(x)
    y = L.Add()([L.MultiHeadAttention(2, 4)(y, y), y])
    return randomize(keras.Model(x, L.Dense(2, activation="gelu")(keras_norms.LayerNormalization()(y))))


# Networks that an NPU takes in whole, in part or not at all.
NETWORKS = {
    "group": group_norm_net,
    "batch": lambda: net(L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D()),
    "instance": lambda: net(L.Conv2D(4, 3), keras_norms.InstanceNormalization()),
    "layer": lambda: net(L.Conv2D(4, 3), keras_norms.LayerNormalization()),
    "rms": lambda: net(L.Conv2D(4, 3), L.RMSNormalization()),
    "gelu": lambda: net(L.Conv2D(4, 3, activation="gelu")),
    "elu": lambda: net(L.Conv2D(4, 3, activation="elu")),
    "hard swish": lambda: net(L.Conv2D(4, 3, activation="hard_swish")),
    "softplus": lambda: net(L.Conv2D(4, 3, activation="softplus")),
    "sigmoid": lambda: net(L.Conv2D(4, 3, activation="sigmoid")),
    "leaky": lambda: net(L.Conv2D(4, 3), L.LeakyReLU()),
    "prelu": lambda: net(L.Conv2D(4, 3), L.PReLU(shared_axes=[1, 2])),
    "doubled": lambda: net(L.UpSampling2D()),
    "tripled": lambda: net(L.UpSampling2D(3)),
    "bilinear": lambda: net(L.UpSampling2D(interpolation="bilinear")),
    "bilinear 4": lambda: net(L.UpSampling2D(4, interpolation="bilinear")),
    "transposed": lambda: net(L.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "transposed 3": lambda: net(L.Conv2DTranspose(4, 3, strides=3, padding="same")),
    "strides of 4": lambda: net(L.DepthwiseConv2D(3, strides=4)),
    "padded": lambda: net(L.ZeroPadding2D(2), L.Conv2D(4, 3)),
    "average": lambda: net(L.AveragePooling2D(3, 1, "same")),
    "wide average": lambda: net(L.AveragePooling2D(9, 1, "same")),
    "maximum of all": lambda: net(L.GlobalMaxPooling2D(keepdims=True)),
    "mean over channels": lambda: net(L.Lambda(lambda x: keras.ops.mean(x, -1, keepdims=True))),
    "permuted": lambda: net(L.Permute((3, 1, 2))),
    "cropped": lambda: net(L.Cropping2D(2)),
    "attention": attention,
}


# Norms have forms of their own in each mode; what has no form in integers is tried in the usual 8 bits.
NORMS = ("group", "instance", "layer", "rms", "batch")
PLAIN = ("group", "elu", "softplus", "prelu", "gelu")
FILES = [(name, "int8") for name in NETWORKS if name not in ("elu", "softplus", "prelu")]
FILES += [(name, "int16x8") for name in (*NORMS, "sigmoid", "average", "transposed", "attention", "hard swish")]
FILES += [(name, "plain") for name in PLAIN]


@pytest.fixture(scope="module", params=FILES, ids="-".join)
def npu_file(request, tmp_path_factory):
    """A network in integers throughout, or in the usual 8 bits."""
    name, mode = request.param
    path, model = tmp_path_factory.mktemp("npu") / "m.tflite", NETWORKS[name]()
    chosen = {"quantize": "int8"} if mode == "plain" else {"quantize": mode, "target": "npu"}
    export_unverified(model, path, batch_size=1, calibration=images(8), **chosen)
    return path


@runtime
@with_vela
def test_our_rules_of_an_npu_are_velas(npu_file):
    said = vela.compile_for("ethos-u55-128", npu_file)
    fused = {"RELU"}  # which Vela names apart
    assert {node.op for node, _ in left_out(npu_file)} - fused == {each.op for each in said.left_out} - fused


@runtime
@with_vela
@pytest.mark.parametrize(("kind", "bits"), [("GELU", 16), ("ELU", 16), ("GELU", 8), ("LOGISTIC", 16)])
def test_our_rules_of_what_an_npu_has_in_8_bits_alone_are_velas(kind, bits, tmp_path):
    """In files of other writers: this package computes these in 8 bits."""
    graph = Graph(flatbuffer({"x": (1, 8)}, {}, [Op(kind, ["x"], "y", (1, 8))], ["y"]))
    made = graph.add_tensor((), "", np.int16 if bits == 16 else np.int8, Quantized(1 / 32768))
    for tensor in graph.tensors[:made]:
        tensor.type, tensor.quantization = graph.tensors[made].type, graph.tensors[made].quantization
    del graph.tensors[made]
    path = tmp_path / "m.tflite"
    path.write_bytes(graph.bytes())
    assert bool(left_out(path)) == bool(vela.compile_for("ethos-u55-128", path).left_out)


@runtime
@with_vela
def test_the_table_of_a_compiled_root_is_litert_s_kernel(tmp_path):
    """LiteRT and Vela make the same 512 linear pieces of a reciprocal root in 16 bits: what LiteRT proves, holds."""
    path = tmp_path / "m.tflite"
    to_tflite(group_norm_net(), path, quantize="int16x8", calibration=images(16), target="npu", batch_size=1)
    vela.compile_for("ethos-u55-128", path, keep=tmp_path)
    content = (tmp_path / "m_vela.tflite").read_bytes()
    words = np.frombuffer(content[: len(content) // 4 * 4], "<u4") & 0xFFFF  # a piece: its slope and its base
    graph = Graph(path.read_bytes())
    roots = [op for op in graph.ops if graph.kind(op) == "RSQRT"]
    assert len(roots) == 2
    for op in roots:
        bases = roots_of_positive(graph, op)[127::128]  # where the pieces begin, at 128, 256, ...
        assert bases.astype("<u4").tobytes() in words.tobytes()


def roots_of_positive(graph, op):
    """What LiteRT's kernel makes of every positive integer of 16 bits, for the grids of one operator."""
    x = np.arange(1, 32768, dtype=np.int16)[None]
    alone = Graph(flatbuffer({"x": x.shape}, {}, [Op("RSQRT", ["x"], "y", x.shape, version=3)], ["y"]))
    for tensor, given in zip(alone.tensors, (op.inputs[0], op.outputs[0]), strict=True):
        tensor.type, tensor.quantization = graph.tensors[given].type, graph.tensors[given].quantization
    interpreter = open_interpreter(alone.bytes(), kernels="builtin")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


@runtime
@with_vela
def test_velas_own_failure_ends_in_a_line_with_its_words(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"no file of this kind")
    with pytest.raises(ExportError, match=r"^Vela does not compile '.*m\.tflite' for ethos-u55-128: [^\n]+\.$"):
        vela.compile_for("ethos-u55-128", path)
