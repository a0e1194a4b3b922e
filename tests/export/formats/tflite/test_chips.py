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
from keras_norms.export.formats.tflite.delegates.node_table import nodes
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
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


@runtime
def test_lint_for_micro_of_weights_beside_floats_and_its_remedy(tmp_path):
    model, path = net(L.Conv2D(4, 3), L.Flatten(), L.Dense(40, name="wide")), tmp_path / "m.tflite"
    to_tflite(model, path, quantize="dynamic", batch_size=1)
    (finding,) = [found for found in lint(path, model=model, target="micro").findings if found.layer == "wide"]
    assert (finding.kind, finding.op) == ("no kernel", "FULLY_CONNECTED")
    assert "target='micro'" in finding.remedy
    for options in ({}, {"quantize": "int8", "calibration": images(8)}):
        to_tflite(model, path, target="micro", batch_size=1, **options)
        assert lint(path, model=model, target="micro").ok
