"""Files of Keras 1, written by hand as its `save` wrote them, against NumPy in float64."""

import numpy as np
import pytest
from keras1_files import CASES, DENSE, common, draw, enlarged, images, inputs, named, write
from keras_norms.export import ExportError, load

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("case", CASES)
def test_what_keras_1_wrote_computes_the_same(case, tmp_path):
    layers, weights, shape, compute = CASES[case]()
    path = write(tmp_path / "m.h5", layers, weights, shape, "int32" if case == "Embedding" else "float32")
    x = inputs(shape, case)
    model, report = load(path, prove=False)
    want = compute(x if case == "Embedding" else x.astype("float64"))
    got = np.asarray(model(x, training=False))
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max() * 10
    assert report.writer.startswith("Keras 1.2.2")
    if weights:
        assert report.writer.endswith("theano" if "of Theano" in case else "tensorflow")
    assert "names of Keras 1" in {made.translation for made in report.translated}


def test_merges_and_nested_models(tmp_path):
    """A functional model of Keras 1: two calls of a nested model, merged in each way."""
    w, b = draw(5, 4), draw(4)
    inner_layers = [
        {**common("InputLayer", "in", batch_input_shape=[None, 5], input_dtype="float32", sparse=False), "name": "in"},
        {**common("Dense", "d", output_dim=4, activation="tanh", **DENSE), "name": "d"},
    ]
    inner_layers[0]["inbound_nodes"], inner_layers[1]["inbound_nodes"] = [], [[["in", 0, 0]]]
    inner = {"name": "net", "layers": inner_layers, "input_layers": [["in", 0, 0]], "output_layers": [["d", 0, 0]]}
    layers = [
        {**common("InputLayer", x, batch_input_shape=[None, 5], input_dtype="float32", sparse=False), "name": x}
        for x in "ab"
    ]
    for layer in layers:
        layer["inbound_nodes"] = []
    calls = [[["a", 0, 0]], [["b", 0, 0]]]
    layers.append({"class_name": "Model", "config": inner, "name": "net", "inbound_nodes": calls})
    both = [["net", 1, 0], ["net", 2, 0]]
    other = {"concat_axis": -1, "dot_axes": -1, "mode_type": "raw", "output_shape": None, "output_mask": None}
    other |= {"output_shape_type": "raw", "output_mask_type": "raw", "arguments": {}}
    modes = ("sum", "mul", "ave", "max", "concat")
    layers += [{**common("Merge", mode, mode=mode, **other), "name": mode, "inbound_nodes": [both]} for mode in modes]
    config = {"name": "m", "layers": layers, "input_layers": [["a", 0, 0], ["b", 0, 0]]}
    config["output_layers"] = [[mode, 0, 0] for mode in modes]
    path = write(
        tmp_path / "m.h5",
        [layers[0], {"config": {"name": "net"}}],
        {"net": named("d", "Wb", (w, b))},
        (5,),
        functional={"class_name": "Model", "config": config},
    )
    x, y = inputs((5,), ""), inputs((5,), "")[::-1]
    p, q = np.tanh(x @ w + b), np.tanh(y @ w + b)
    want = [p + q, p * q, (p + q) / 2, np.maximum(p, q), np.concatenate([p, q], axis=-1)]
    for got, expected in zip(load(path, prove=False).model([x, y]), want, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


REFUSED = {
    "batch norm of its own input": ("BatchNormalization", {"mode": 1, "axis": -1}, r"normalizes with mode=1"),
    "merge by cosine": ("Merge", {"mode": "cos"}, "merges by mode='cos' at the beginning of a Sequential"),
    "layer that is gone": ("MaxoutDense", {"output_dim": 3, "nb_feature": 4}, "'x' is a MaxoutDense|nb_feature"),
    "unknown argument": (
        "Dense",
        {"output_dim": 3, "nb_spam": 4},
        "'x', a Dense, has the argument 'nb_spam' of Keras 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_translation_is_refused(case, tmp_path):
    kind, config, reason = REFUSED[case]
    path = write(tmp_path / "m.h5", [common(kind, "x", **config)], {}, (5,))
    with pytest.raises(ExportError, match=reason):
        load(path, prove=False)


def test_an_output_shape_that_would_differ_is_refused(tmp_path):
    layers, weights, shape, _ = enlarged()
    layers[0]["config"]["output_shape"] = [None, 17, 17, 3]
    with pytest.raises(ExportError, match=r"'c' has outputs of shape \[None, 17, 17, 3\]"):
        load(write(tmp_path / "m.h5", layers, weights, shape), prove=False)


def test_kernels_of_an_unknown_backend_are_refused(tmp_path):
    layers, weights, shape, _ = images("tf")
    weights["c"] = [(f"param_{i}", array) for i, (_, array) in enumerate(weights["c"])]
    with pytest.raises(ExportError, match="nothing tells whether Theano wrote the kernel of layer 'c'"):
        load(write(tmp_path / "m.h5", layers, weights, shape), prove=False)
