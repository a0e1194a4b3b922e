"""What a trace becomes: a table, JSON, a plot, and node data that Model Explorer reads."""

import json
import sys

import pytest
from keras_norms.export import ExportError
from keras_norms.export.report.layer_trace import LayerError, LayerTrace

INFINITE = float("inf")
LAYERS = (
    LayerError("conv", "Conv2D", note="fused into 'relu'"),
    LayerError("relu", "ReLU", 1, 40.26, 1.5e-2, None, ("net/relu_1/Relu;net/conv_1/convolution",)),
    LayerError("drop", "Dropout", 1, 41.0, 1.5e-2, 40.26, ("net/relu_1/Relu;net/conv_1/convolution",)),
    LayerError("head", "Dense", 1, -3.21, 2.5, 40.26, ("y",), ("net/head_1/MatMul",)),
    LayerError("head", "Dense", 2, INFINITE, 0.0, 40.26, ("z",)),
)
TRACE = LayerTrace("m.tflite", "your inputs, 16 rows", "LiteRT's builtin kernels", LAYERS, 3)
NOTHING = LayerTrace("m.tflite", "your inputs", "LiteRT's builtin kernels", (), problem="the model calls no layer")

TABLE = """\
Layer by layer, on your inputs, 16 rows, in LiteRT's builtin kernels
layer         class    SQNR dB  largest error / scale  tensor in the file
------------  -------  -------  ---------------------  --------------------------------------  ------------------------
conv          Conv2D   -        -                      -                                       fused into 'relu'
relu          ReLU     40.3     1.5e-02                net/relu_1/Relu;net/conv_1/convolution
drop          Dropout  41.0     1.5e-02                net/relu_1/Relu;net/conv_1/convolution
head          Dense    -3.2     2.5e+00                y                                       <- worst drop, from 40.3
head, call 2  Dense    exact    0.0e+00                z"""


def test_the_table():
    assert str(TRACE) == TABLE
    assert TRACE.worst_drop == LAYERS[3]


def test_json_has_everything():
    data = json.loads(TRACE.to_json())
    assert data["worst"] == 3
    assert [layer["layer"] for layer in data["layers"]] == ["conv", "relu", "drop", "head", "head"]
    assert data["layers"][4]["sqnr_db"] is None, "JSON has no infinity"
    assert data["layers"][4]["relative"] == 0.0
    assert data["layers"][1]["tensors"] == ["net/relu_1/Relu;net/conv_1/convolution"]


def test_node_data_have_the_lowest_ratio_of_each_tensor(tmp_path):
    data = json.loads(TRACE.save_nodes(tmp_path / "nodes.json").read_text())
    assert data["results"] == {
        "net/relu_1/Relu;net/conv_1/convolution": {"value": 40.26},
        "y": {"value": -3.21},
        "net/head_1/MatMul": {"value": -3.21},
        "z": {"value": 200.0},
    }
    ends = [threshold["value"] for threshold in data["thresholds"]]
    assert ends == sorted(ends)
    assert ends[-1] == 200.0, "the last range reaches to the largest value"


def test_model_explorer_has_the_same_node_data(tmp_path):
    builder = pytest.importorskip("model_explorer.node_data_builder")
    data = json.loads(TRACE.save_nodes(tmp_path / "nodes.json").read_text())
    known = builder.GraphNodeData(
        name=data["name"],
        results={key: builder.NodeDataResult(**result) for key, result in data["results"].items()},
        thresholds=[builder.ThresholdItem(**threshold) for threshold in data["thresholds"]],
    )
    theirs = json.loads(known.to_json_string())
    assert {key: theirs[key] for key in data} == data


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")])
def test_the_plot_is_what_its_suffix_says(name, start, tmp_path):
    pytest.importorskip("matplotlib")
    assert TRACE.save_plot(tmp_path / name).read_bytes().startswith(start)


def test_the_plot_names_every_layer(tmp_path):
    pytest.importorskip("matplotlib")
    text = TRACE.save_plot(tmp_path / "a.svg").read_text()
    for words in ("conv", "fused into 'relu'", "head, call 2", "worst drop: head", "m.tflite, your inputs, 16 rows"):
        assert f"<!-- {words} -->" in text, words


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"A plot must end in \.png, \.svg, \.pdf; got 'a\.bmp'"):
        TRACE.save_plot(tmp_path / "a.bmp")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"matplotlib, which is not installed: pip install 'keras-norms\[demo\]'"
    ):
        TRACE.save_plot(tmp_path / "a.png")


@pytest.mark.parametrize("save", [LayerTrace.save_plot, LayerTrace.save_nodes])
def test_where_nothing_was_traced_there_is_nothing_to_save(save, tmp_path):
    with pytest.raises(ExportError, match=r"No layer of m\.tflite was traced: the model calls no layer"):
        save(NOTHING, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
