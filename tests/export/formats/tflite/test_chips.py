"""What TFLite Micro and Arm's compiler are asked, what is told of it, and what is said where they are not installed."""

import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras_norms.export import ExportError, lint, to_tflite, verify
from keras_norms.export.formats.tflite.chips import chip_checks, micro, vela
from keras_norms.export.formats.tflite.chips.c_array import c_array
from keras_norms.export.formats.tflite.chips.kernels import KERNELS, resolver_lines
from keras_norms.export.formats.tflite.chips.multiply_adds import multiply_adds
from keras_norms.export.formats.tflite.chips.npu_rules import left_out
from keras_norms.export.formats.tflite.delegates.node_table import nodes
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph, Quantized
from keras_norms.export.formats.tflite.interpreter import open_interpreter
from keras_norms.export.formats.tflite.runtime import runners
from models import randomize
from norm_mutants import export_unverified, verified_here
from tflite_files import Op, flatbuffer

import keras_norms

L = keras.layers
runtime = pytest.mark.runtime
with_micro = pytest.mark.skipif(not micro.installed(), reason="tflite-micro is not installed")
with_vela = pytest.mark.skipif(not vela.installed(), reason="ethos-u-vela is not installed")


def images(count):
    return np.random.default_rng(0).normal(size=(count, 12, 12, 3)).astype("float32")


def net(*layers):
    keras.utils.set_random_seed(0)
    return randomize(keras.Sequential([keras.Input((12, 12, 3)), *layers, L.Flatten(), L.Dense(2)]))


def group_norm_net():
    return net(L.Conv2D(8, 3, strides=2), keras_norms.GroupNormalization(4, name="norm"), L.ReLU())


@pytest.fixture(scope="module")
def on_micro(tmp_path_factory):
    """A group norm network for TFLite Micro in each mode: reports by mode."""
    folder, model = tmp_path_factory.mktemp("micro"), group_norm_net()
    made = {}
    for mode in (None, "int8", "int16x8"):
        data = images(16) if mode else None
        path = folder / f"{mode}.tflite"
        header = folder / f"{mode}.h"
        made[mode] = to_tflite(
            model, path, quantize=mode, calibration=data, target="micro", batch_size=1, c_array=header
        )
    return model, made


@runtime
@with_micro
@pytest.mark.parametrize("mode", [None, "int8", "int16x8"])
def test_a_file_for_micro_runs_there_and_says_what_it_needs(mode, on_micro):
    _, made = on_micro
    report = made[mode]
    (chip,) = report.chips
    assert chip.arena_bytes == micro.arena_bytes(report.path) > 1_000
    assert chip.resolver[0] == f"tflite::MicroMutableOpResolver<{len(report.ops)}> resolver;"
    assert "resolver.AddConv2D();" in chip.resolver
    assert f"{chip.arena_bytes:,} bytes of arena" in str(report)


@runtime
@with_micro
def test_verify_asks_tflite_micro_about_a_file_for_it(on_micro, monkeypatch):
    model, made = on_micro
    path = made["int8"].path
    with verified_here():
        assert verify(model, path, inputs=images(4)).ok
        (output,) = runners(path)["TFLite Micro"].outputs
        wrong = {output: np.full((1, 2), 7.0, "float32")}
        monkeypatch.setattr(micro.MicroRunner, "run", lambda self, arrays: wrong)
        assert not verify(model, path, inputs=images(4)).ok


@runtime
@with_micro
def test_a_plan_of_memory_is_taken(on_micro, tmp_path):
    """Without the plan TFLite Micro places the tensors itself, and needs no less."""
    path = on_micro[1]["int8"].path
    graph = Graph(path.read_bytes())
    graph.model.metadata = [entry for entry in graph.model.metadata if entry.name != b"OfflineMemoryAllocation"]
    unplanned = tmp_path / "m.tflite"
    unplanned.write_bytes(graph.bytes())
    assert micro.arena_bytes(path) <= micro.arena_bytes(unplanned)


@runtime
@with_micro
@pytest.mark.parametrize(
    ("layer", "mode", "said"),
    [
        (lambda: L.Activation("gelu", name="act"), None, "layer 'act': it has no kernel for GELU"),
        (lambda: L.UpSampling2D(interpolation="bilinear", name="up"), "int16x8", "layer 'up': Output type is 7"),
    ],
)
def test_what_micro_does_not_run_is_refused_by_name(layer, mode, said, tmp_path):
    model = net(L.Conv2D(2, 3), layer())
    with pytest.raises(ExportError, match=f"target='micro' .*{said}"):
        to_tflite(
            model,
            tmp_path / "m.tflite",
            quantize=mode,
            calibration=images(4) if mode else None,
            target="micro",
            batch_size=1,
            c_array=tmp_path / "m.h",
        )
    assert not list(tmp_path.iterdir())


@runtime
def test_without_the_package_the_report_says_what_to_install(on_micro, monkeypatch):
    monkeypatch.setattr(micro, "installed", lambda: False)
    path = on_micro[1]["int8"].path
    assert chip_checks.check_micro(path, ["norm"]) == (chip_checks.NOT_RUN,)
    from keras_norms.export.formats.tflite.chips.reports import chip_reports

    (chip,) = chip_reports(path, "micro", ["norm"])
    assert chip.arena_bytes is None
    assert "pip install 'keras-norms[micro]'" in str(chip)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quantize": "dynamic"}, "no kernels for weights of fewer bits"),
        ({"quantize": "float16"}, "no kernels for weights of fewer bits"),
        ({"batch_size": None}, "A microcontroller runs static shapes: give batch_size=1"),
        ({"allow_flex": True}, "Leave allow_flex out"),
        ({"c_array": "m.txt"}, "goes into a header"),
    ],
)
def test_options_that_do_not_go_with_micro(options, said, tmp_path):
    with pytest.raises(ExportError, match=said):
        to_tflite(net(), tmp_path / "m.tflite", **{"target": "micro", "batch_size": 1, **options})


@runtime
@pytest.mark.parametrize("target", ["micro", "npu"])
def test_a_free_size_is_refused_by_name(target, tmp_path):
    x = keras.Input((None, 12, 3), name="image")
    model = keras.Model(x, L.Conv2D(2, 3)(x))
    with pytest.raises(ExportError, match=rf"target='{target}' .* 'image' of shape \[1, None, 12, 3\] is free in size"):
        to_tflite(model, tmp_path / "m.tflite", quantize="int8", calibration=images(4), target=target, batch_size=1)


@runtime
@with_vela
def test_the_share_of_multiply_adds(tmp_path):
    """A convolution of 10 x 10 x 4 outputs of 27 products each, and a dense layer; all of it in integers, or none."""
    model, path = net(L.Conv2D(4, 3), L.Activation("elu")), tmp_path / "m.tflite"
    export_unverified(model, path, quantize="int8", io_dtype="int8", calibration=images(4), batch_size=1)
    counts = [multiply_adds(node) for node in nodes(path)]
    assert sorted(count for count in counts if count) == [2 * 400, 27 * 400]
    assert vela.compile_for("ethos-u55-128", path).macs_share == 1.0
    to_tflite(model, path, batch_size=1)
    assert vela.compile_for("ethos-u55-128", path).macs_share == 0.0


def test_the_methods_of_the_resolver():
    given = ("CONV_2D", "ADD", "PADV2", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RELU6", "BATCH_MATMUL", "CONV_2D")
    assert resolver_lines(given) == (
        "tflite::MicroMutableOpResolver<6> resolver;",
        "resolver.AddAdd();",
        "resolver.AddBatchMatMul();",
        "resolver.AddConv2D();",
        "resolver.AddPadV2();",
        "resolver.AddRelu6();",
        "resolver.AddUnidirectionalSequenceLSTM();",
    )


@runtime
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_array_compiles_and_is_the_file(on_micro, tmp_path):
    path = on_micro[1]["int8"].path
    header = path.with_suffix(".h")
    program = tmp_path / "main.c"
    program.write_text(
        f'#include "{header}"\n#include <stdio.h>\nint main(void) {{ fwrite(int8_tflite, 1, '
        "int8_tflite_len, stdout); return (int)((unsigned long)int8_tflite % 16); }\n"
    )
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", program, "-o", tmp_path / "main"], check=True)
    assert subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout == path.read_bytes()


def test_the_name_of_an_array():
    assert "unsigned char my_net_2_tflite[3]" in c_array(b"abc", "my-net.2.tflite")
    assert "unsigned char model_2_tflite[3]" in c_array(b"abc", "2.tflite")


def kernel_missing(kind, folder):
    """Whether TFLite Micro says that it has no kernel for an operator."""
    path = folder / "m.tflite"
    path.write_bytes(flatbuffer({"x": (1,)}, {}, [Op(kind, ["x"], "y", (1,))], ["y"]))
    try:
        micro.arena_bytes(path)
    except micro.RefusedError as refused:
        return "Didn't find op" in str(refused)
    return False


@runtime
@with_micro
@pytest.mark.parametrize(
    "kind", ["ADD", "HARD_SWISH", "SVDF", "CUMSUM", "GELU", "REDUCE_ANY", "CONV_3D", "ROUND", "POW"]
)
def test_kernels_are_those_of_tflite_micro(kind, tmp_path):
    assert hasattr(schema.BuiltinOperator, kind)
    assert kernel_missing(kind, tmp_path) == (kind not in KERNELS)


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
def test_lint_for_a_chip(tmp_path):
    model, path = group_norm_net(), tmp_path / "m.tflite"
    to_tflite(model, path, quantize="int8", calibration=images(16), batch_size=1)
    found = lint(path, model=model, target="npu")
    (norm,) = [finding for finding in found.findings if finding.layer == "norm"]
    assert "target='npu'" in norm.remedy
    assert not found.ok
    assert re.search("an Ethos-U does not run all of it", str(found))
    to_tflite(model, path, quantize="int8", calibration=images(16), batch_size=1, target="npu")
    assert lint(path, model=model, target="npu").ok
    assert lint(path, target="micro").ok


@runtime
def test_lint_for_micro_names_what_has_no_kernel(tmp_path):
    model, path = net(L.Conv2D(4, 3), L.Activation("gelu", name="act")), tmp_path / "m.tflite"
    to_tflite(model, path, batch_size=1)
    (finding,) = lint(path, model=model, target="micro").findings
    assert (finding.kind, finding.layer, finding.op) == ("no kernel", "act", "GELU")
    with pytest.raises(ExportError, match="'npu' or 'micro'; got 'gpu'"):
        lint(path, target="gpu")
