"""`keras-norms inspect` shows the plan of a fold without doing it, for subclassed models too."""

import json
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from fold_checks import randomize
from fold_models import bn, conv, image, model
from keras_norms.export.folding.fold import fold
from keras_norms_cli.commands import cli

import keras_norms

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class InspectedBlock(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.bn = conv("conv"), bn("hidden")
        self.group = keras_norms.GroupNormalization(2, name="group")

    def call(self, x):
        return self.group(keras.ops.relu(self.bn(self.conv(x))))


@keras.saving.register_keras_serializable("tests")
class InspectedNet(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block, self.top = InspectedBlock(name="block"), keras_norms.BatchNormalization(name="top")

    def call(self, x):
        return self.top(keras.ops.relu(self.block(x)))


@pytest.fixture
def no_work(monkeypatch):
    for name in ("apply", "errors", "errors_on_random", "pair"):
        monkeypatch.setattr(sys.modules["keras_norms.export.folding.fold"], name, None)


def inspect(path):
    result = CliRunner().invoke(cli, ["inspect", str(path), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def told(report):
    return {f.norm: list(f.into) for f in report.folded}, {k.norm: k.reason for k in report.kept}


@pytest.mark.usefixtures("no_work")
def test_the_plan_of_a_graph(tmp_path):
    x = image()
    model(x, L.ReLU()(bn("stays")(L.ReLU()(bn("goes")(conv("conv")(x)))))).save(tmp_path / "m.keras")
    norms = {norm["norm"]: norm for norm in inspect(tmp_path / "m.keras")["norms"]}
    assert norms["goes"]["into"] == ["conv"]
    assert "(ReLU) is not linear" in norms["stays"]["reason"]
    with pytest.raises(TypeError):
        fold(keras.saving.load_model(tmp_path / "m.keras"))


def test_the_plan_of_a_subclassed_model(tmp_path, monkeypatch):
    net = InspectedNet(name="net")
    net(np.zeros((1, 8, 7, 3), "float32"))
    randomize(net)
    into, reasons = told(fold(net).report)
    net.save(tmp_path / "m.keras")
    for name in ("apply", "errors", "errors_on_random"):
        monkeypatch.setattr(sys.modules["keras_norms.export.folding.fold"], name, None)
    found = inspect(tmp_path / "m.keras")
    assert {n["norm"]: n["into"] for n in found["norms"] if n["folds"]} == into == {"block/hidden": ["block/conv"]}
    assert {n["norm"]: n["reason"] for n in found["norms"] if n["norm"] == "top"} == reasons
    kinds = {n["norm"]: n["kind"] for n in found["norms"]}
    assert kinds == {
        "block/hidden": "BatchNormalization",
        "top": "BatchNormalization",
        "block/group": "GroupNormalization",
    }
    assert "its call was traced" in found["notes"][0]
    text = CliRunner().invoke(cli, ["inspect", str(tmp_path / "m.keras")]).stdout
    assert "note: InspectedNet computes its output in Python code" in text
