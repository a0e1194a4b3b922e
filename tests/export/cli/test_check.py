"""`keras-norms check` on a repository with good, broken, outdated, refused and crashing models.

The files are exported by one run, spoiled, and judged by a second one: that is all that is converted.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export.check.export_fresh import FreshExports, options_of
from keras_norms.export.check.kept_artifact import check_kept
from keras_norms.export.check.latency import median_ms, median_ratio
from keras_norms.export.check.outcomes import Outcomes
from keras_norms_cli.checking.process import CheckingProcess, ProcessEndedError
from keras_norms_cli.commands import cli

import keras_norms

pytestmark = pytest.mark.runtime

POLICY = """
models = ["models/*.keras"]

[exports.phone]
format = "tflite"
artifact = "kept/{model}.tflite"
max-size = "3 kB"

[norms]
must-fold = true
may-stay = { behind = "it follows a ReLU", "gone" = "there was one once" }

[override."models/crashes.keras"]
import = "crash.py"

[override."models/text.keras"]
norms.must-fold = false

[override."models/good.keras".exports.phone]
max-size = 100
max-latency = "10 s"

[[allow]]
model = "models/text.keras"
refusal = "inputs must be numbers"
reason = "the app looks words up"

[[allow]]
model = "models/good.keras"
layer = "logits"
reason = "a layer that is refused no more"
"""


def build(seed, *, stays=False):
    keras.utils.set_random_seed(seed)
    dense, norm = keras.layers.Dense(4, name="dense"), keras_norms.BatchNormalization(name="folds")
    between = [keras.layers.ReLU(), keras.layers.BatchNormalization(name="behind")] if stays else [keras.layers.ReLU()]
    last = [keras.layers.Softmax(name="shares"), keras.layers.Dense(2, name="logits")]
    return keras.Sequential([keras.Input((6,)), dense, norm, *between, *([] if stays else last)])


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The folder, and two runs in it: `first` with --update, `second` of the spoiled files, with reports."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models").mkdir()
    (folder / "kept").mkdir()
    (folder / "keras-norms.toml").write_text(POLICY)
    (folder / "crash.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    for seed, name in enumerate(("good", "broken", "retrained")):
        build(seed, stays=name == "good").save(folder / "models" / f"{name}.keras")
    build(3, stays=True).save(folder / "models" / "crashes.keras")
    text = keras.Input((1,), dtype="string")
    found = keras.layers.StringLookup(vocabulary=["a", "b"])(text)
    keras.Model(text, keras.layers.Embedding(3, 2)(found)).save(folder / "models" / "text.keras")
    (folder / "kept" / "broken.tflite").write_text("to be replaced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        first = run("--update", *(f"models/{name}.keras" for name in ("good", "broken", "retrained")))
        spoil(folder)
        before = tree(folder)
        second = run("--json", "--junit", "r.xml", "--sarif", "r.sarif", "--summary", "r.md")
    written = {path for path in tree(folder) if path not in before}
    same = {path: stamp for path, stamp in tree(folder).items() if path not in written} == before
    return SimpleNamespace(folder=folder, first=first, second=second, written=written, same=same)


def run(*arguments):
    return CliRunner().invoke(cli, ["check", *arguments])


def spoil(folder):
    """Four bytes of weights of one kept file, all weights of another one's model."""
    path = folder / "kept" / "broken.tflite"
    raw = bytearray(path.read_bytes())
    kernel = keras.models.load_model(folder / "models" / "broken.keras").get_layer("logits").get_weights()[0]
    at = bytes(raw).index(np.ascontiguousarray(kernel.T).tobytes()[:16])
    raw[at : at + 4] = np.float32(3.0).tobytes()
    path.write_bytes(raw)
    build(9).save(folder / "models" / "retrained.keras")


def tree(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def judged(repository):
    """{model: {name of the check: (status, kind, text)}} of the second run."""
    data = json.loads(repository.second.stdout)
    named = {}
    for model in data["models"]:
        checks = named.setdefault(Path(model["path"]).stem, {})
        for check in model["checks"]:
            key = " ".join(filter(None, (check["export"], check["check"], check["layer"])))
            checks[key] = (check["status"], check["kind"], check["text"])
    return named


def test_update_writes_files_and_certificates(repository):
    text = repository.first.output
    assert text.count("  updated  phone: artifact") == 3
    kept = sorted(path.name for path in (repository.folder / "kept").iterdir())
    names = [f"{name}.tflite{end}" for name in ("broken", "good", "retrained") for end in ("", ".json")]
    assert kept == names
    assert repository.first.exit_code == 1  # good.keras exceeds its budget
    assert "[too-large] keras-norms.toml:20" in text


def test_a_good_file_passes(judged):
    status, _, text = judged["good"]["phone artifact"]
    assert status == "passed"
    assert text.startswith("reproduces its model, certificate holds (")
    assert judged["good"]["phone latency"][0] == "passed"


def test_a_file_over_its_budget_fails_for_that_alone(judged):
    assert judged["good"]["phone size"][:2] == ("failed", "too-large")
    assert "at most 100 bytes are allowed" in judged["good"]["phone size"][2]
    assert judged["retrained"]["phone size"][0] == "passed"


def test_changed_bytes_are_told_with_the_layer_they_belong_to(judged):
    status, kind, text = judged["broken"]["phone artifact"]
    assert (status, kind) == ("failed", "changed-artifact")
    assert text.startswith("it is not the file that was certified (its SHA-256 differs). Output 'logits' differs")
    assert text.endswith("The first layer that diverges is 'logits'.")


def test_a_model_that_was_trained_further_makes_its_file_outdated(judged):
    status, kind, text = judged["retrained"]["phone artifact"]
    assert (status, kind) == ("failed", "outdated")
    assert text.startswith("it was exported from other weights than the model has now.")


def test_a_crash_is_one_failure_and_stops_no_other_model(judged):
    assert judged["crashes"] == {
        "read": (
            "failed",
            "crashed",
            "The process that checked this model was ended by signal 9 (SIGKILL: most often memory has run out), "
            "while reading",
        )
    }
    assert judged["good"]["read"][0] == judged["text"]["read"][0] == "passed"


def test_a_refusal_that_the_policy_allows_does_not_fail(judged):
    status, kind, text = judged["text"]["phone export"]
    assert (status, kind) == ("allowed", "refused")
    assert text.startswith("Inputs must be numbers")
    assert judged["text"]["phone size"] == ("skipped", None, "there is no file")


def test_an_allowance_that_nothing_needs_fails(judged):
    texts = [text for _, kind, text in judged["keras-norms"].values() if kind == "stale-allowance"]
    assert texts == ["nothing is refused of 'logits' any more: remove this table [[allow]]."]


def test_norms_are_held_to_folding(judged):
    assert judged["broken"]["norms"] == ("passed", None, "1 of 1 batch norms fold")
    assert judged["good"]["norms"] == ("passed", None, "1 of 2 batch norms fold")
    assert judged["good"]["norms behind"][:2] == ("allowed", "norm-stays")
    assert "norms" not in judged["text"]


def test_the_reports_agree_and_nothing_else_is_written(repository):
    data = json.loads(repository.second.stdout)
    failed = sum(check["status"] == "failed" for model in data["models"] for check in model["checks"])
    assert repository.second.exit_code == 1
    root = ElementTree.parse(repository.folder / "r.xml").getroot()
    assert int(root.get("failures")) + int(root.get("errors")) == failed
    (log,) = json.loads((repository.folder / "r.sarif").read_text())["runs"]
    assert len(log["results"]) == failed
    assert f"{failed} failed." in (repository.folder / "r.md").read_text()
    assert repository.written == {"r.xml", "r.sarif", "r.md"}
    assert repository.same


def kept(folder, task, model):
    """What `check_kept` tells of a file, in this process."""
    told = []
    check_kept(FreshExports(model, folder), {**TASK, **task}, Outcomes(told.append), update=False)
    return [(each["status"], each["kind"], each["text"]) for each in told if isinstance(each, dict)]


TASK = {
    "name": "phone",
    "suffix": ".tflite",
    "quantize": None,
    "calibration": None,
    "inputs": None,
    "labels": None,
    "batch_size": None,
    "fold": True,
    "tolerance": None,
    "io_dtype": None,
    "target": None,
    "allow_flex": False,
    "certificate": True,
    "try_missing": False,
}


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_the_limits_of_a_policy_are_the_budget_of_auto(suffix):
    task = {**TASK, "suffix": suffix, "opset": None, "norms": "fast", "layout": "keras"}
    limits = {"max_size": 900, "min_db": 30.0}
    options = options_of({**task, **limits, "quantize": "auto"})
    assert (options.max_bytes, options.min_db) == (900, 30.0)
    options = options_of({**task, **limits, "quantize": "dynamic"})
    assert (options.max_bytes, options.min_db) == (None, None)


def test_a_file_without_a_certificate(repository, tmp_path):
    model = keras.models.load_model(repository.folder / "models" / "good.keras")
    path = tmp_path / "good.tflite"
    path.write_bytes((repository.folder / "kept" / "good.tflite").read_bytes())
    ((status, kind, text),) = kept(tmp_path, {"artifact": str(path)}, model)
    assert (status, kind) == ("failed", "missing-certificate")
    assert text == (
        "there is no certificate 'good.tflite.json'. keras-norms check --update exports it again. "
        "Or set certificate = false."
    )
    passed = kept(tmp_path, {"artifact": str(path), "certificate": False}, model)
    assert passed == [("passed", None, "reproduces its model, no certificate")]
    model.layers[0].bias.assign([1.0, 0.0, 0.0, 0.0])
    ((status, kind, text),) = kept(tmp_path, {"artifact": str(path), "certificate": False}, model)
    assert (status, kind) == ("failed", "outdated")
    assert text.startswith("it was exported from another state of the model than it has now.")


def test_files_that_are_not_there_or_no_files_of_their_kind(repository, tmp_path):
    model = keras.models.load_model(repository.folder / "models" / "good.keras")
    path = tmp_path / "good.tflite"
    told = kept(tmp_path, {"artifact": str(path)}, model)
    assert told == [("failed", "missing-artifact", "there is no 'good.tflite'. keras-norms check --update writes it.")]
    path.write_text("nothing")
    ((_, kind, text),) = kept(tmp_path, {"artifact": str(path)}, model)
    assert kind == "not-reproduced"
    assert "is no TFLite file that LiteRT can run" in text
    (tmp_path / "good.tflite.json").write_text("{}")
    ((_, kind, text),) = kept(tmp_path, {"artifact": str(path)}, model)
    assert kind == "damaged-certificate"
    assert "lies where the certificate of 'good.tflite' would" in text


def test_times_are_those_of_one_input_in_a_process_of_its_own(repository):
    model = keras.models.load_model(repository.folder / "models" / "good.keras")
    path = repository.folder / "kept" / "good.tflite"
    assert 1e-4 < median_ms(model, TASK, path) < 1e3
    assert 0.1 < median_ratio(model, TASK, path, path) < 10.0


def test_a_model_that_takes_too_long_is_ended(tmp_path):
    process = CheckingProcess()
    task = {"path": str(tmp_path / "none.keras"), "exports": []}
    with pytest.raises(ProcessEndedError, match="the checks were ended after 0.01 s, which is `timeout`") as caught:
        process.check(task, 0.01, print, print)
    assert caught.value.kind == "timed-out"
    assert process._process is None


def test_a_stopped_process_leaves_none_behind():
    process = CheckingProcess()
    number = process.start().pid
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
