"""The form that each norm takes in an .onnx file at each opset."""

import keras
import pytest
from keras_norms.export import ExportError, to_onnx
from keras_norms.export.formats.onnx import runtime, runtime_abilities
from models import randomize
from onnx_files import chain, counted, opset_of

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


FUSABLE_RMS = {"Pow": 1, "ReduceMean": 1, "Add": 1, "Sqrt": 1, "Div": 1, "Mul": 1}
GROUPS = {"Reshape": 2, "Slice": 1, "Sub": 1, "InstanceNormalization": 1, "BatchNormalization": 1}
# norm, options, what the file holds beside transposes, its opset
FORMS = {
    "layer": (keras_norms.LayerNormalization, {}, {"LayerNormalization": 1}, 18),
    "layer, stock": (L.LayerNormalization, {}, {"LayerNormalization": 1}, 18),
    "layer, old opset": (
        L.LayerNormalization,
        {"opset": 16},
        {"ReduceMean": 2, "Sub": 1, "Pow": 1, "Add": 2, "Sqrt": 1, "Div": 1, "Mul": 1},
        16,
    ),
    "layer, no gamma, no beta": (
        lambda: L.LayerNormalization(scale=False, center=False),
        {},
        {"LayerNormalization": 1},
        18,
    ),
    "layer, two axes": (lambda: L.LayerNormalization(axis=[-2, -1]), {}, {"LayerNormalization": 1}, 18),
    "rms": (L.RMSNormalization, {}, FUSABLE_RMS, 18),
    "rms, new opset": (L.RMSNormalization, {"opset": 23}, {"RMSNormalization": 1}, 23),
    "rms, standard": (L.RMSNormalization, {"norms": "standard"}, {"RMSNormalization": 1}, 23),
    "group": (lambda: keras_norms.GroupNormalization(4), {}, GROUPS, 18),
    "group, oldest opset": (lambda: L.GroupNormalization(4), {"opset": 13}, GROUPS, 13),
    "group, standard": (
        lambda: L.GroupNormalization(4),
        {"norms": "standard"},
        {"Reshape": 2, "Slice": 1, "Sub": 1, "GroupNormalization": 1},
        21,
    ),
    "group, no beta": (
        lambda: L.GroupNormalization(4, center=False),
        {},
        {"Reshape": 2, "Slice": 1, "Sub": 1, "InstanceNormalization": 1, "Mul": 1},
        18,
    ),
    "instance": (keras_norms.InstanceNormalization, {}, {"Slice": 1, "Sub": 1, "InstanceNormalization": 1}, 18),
    "instance, standard": (keras_norms.InstanceNormalization, {"norms": "standard"}, {"InstanceNormalization": 1}, 18),
}


@pytest.mark.parametrize("case", FORMS)
def test_each_norm_takes_its_form(case, tmp_path):
    norm, options, expected, opset = FORMS[case]
    report = to_onnx(chain((6, 6, 8), norm()), tmp_path / "m.onnx", **options)
    found = counted(tmp_path / "m.onnx")
    assert found.pop("Transpose", 0) == (2 if "group" in case or "instance" in case else 0)
    if case.startswith("layer") and not runtime_abilities.layer_norm_is_exact():
        # An older runtime's kernel takes E[x^2] - E[x]^2: neither the operator, nor what that runtime would make it of.
        assert not {"LayerNormalization", "Pow"} & found.keys()
    else:
        assert found == expected
    assert opset_of(tmp_path / "m.onnx") == opset
    assert len({check.runtime for check in report.verification.checks}) == 4, "each level of optimization"
    asked = "ONNX's reference evaluator" in runtime.advisers(tmp_path / "m.onnx")
    assert asked == (opset > 13 and "GroupNormalization" not in expected)
    assert report.verification.advice == ()


@pytest.mark.parametrize("scale", [True, False])
def test_groups_of_what_was_flattened(scale, tmp_path):
    """The Reshape to groups takes the Flatten in; gamma or beta alone have the shape of what was flattened."""
    inputs = keras.Input((6, 4))
    norm = keras_norms.GroupNormalization(3, scale=scale, center=not scale)
    model = randomize(keras.Model(inputs, norm(L.Flatten()(inputs))))
    assert to_onnx(model, tmp_path / "m.onnx").verification.ok


def test_what_an_opset_does_not_have_is_refused(tmp_path):
    group = chain((6, 6, 8), L.GroupNormalization(4, name="norm"))
    with pytest.raises(
        ExportError, match=r"needs GroupNormalization, of opset 21, for '.*norm.*'; got opset=20.*Raise opset"
    ):
        to_onnx(group, tmp_path / "m.onnx", norms="standard", opset=20)
    for options, message in (
        ({"norms": "best"}, "norms must be one of 'fast', 'standard'; got 'best'"),
        ({"layout": "nhwc"}, "layout must be one of 'keras', 'nchw'; got 'nhwc'"),
    ):
        with pytest.raises(ExportError, match=message):
            to_onnx(group, tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())
