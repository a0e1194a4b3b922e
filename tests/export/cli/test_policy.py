"""The policy of `keras-norms check`: what it may say, and that anything else is an error which tells where and what."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli
from keras_norms_cli.policy.find_models import chosen_models, find_models
from keras_norms_cli.policy.keys import ALLOW, EXPORT, NORMS, OVERRIDE_TABLES, READING, TABLES, TOP
from keras_norms_cli.policy.plan_models import plan_models
from keras_norms_cli.policy.policy_error import PolicyError
from keras_norms_cli.policy.read_policy import read_policy
from keras_norms_cli.policy.toml_lines import key_lines
from keras_norms_cli.policy.units import MILLISECONDS, SECONDS, SIZES, quantity

GOOD = """
models = ["models/*.keras", "more/**/*.h5"]
exclude = ["models/old.keras"]
timeout = "10 min"

[exports.phone]
format = "tflite"
artifact = "kept/{folder}/{model}.tflite"
quantize = "int8"
calibration = "typical.npz"
labels = "names.txt"
batch-size = 1
max-size = "1.5 MB"
max-latency = "200 us"

[exports.web]  # a comment
format = "onnx"
models = ["models/*.keras"]

[norms]
must-fold = true
may-stay = { "block/*" = "it follows a ReLU" }

[override."more/deep/b.h5"]
signature = "serve"
exports.phone.skip = true
exports.web = { format = "onnx", opset = 17 }

[override."models/a.keras".exports.phone]
max-size = 10

[[allow]]
model = "models/a.keras"
export = "w*"
layer = "top_k"
reason = '''
several
lines'''

[[allow]]
refusal = "no kernel"
reason = "issue 31"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for path in ("models/a.keras", "models/old.keras", "more/deep/b.h5", "typical.npz", "names.txt", "mine.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text):
    path = Path("keras-norms.toml")
    path.write_text(text)
    return read_policy(path)


def plans_of(text):
    policy = written(text)
    return {str(plan.path): plan for plan in plan_models(policy, find_models(policy), update=False)}


def test_a_policy_becomes_a_task_for_each_model(folder):
    plans = plans_of(GOOD)
    assert list(plans) == ["models/a.keras", "more/deep/b.h5"]
    phone, web = plans["models/a.keras"].task["exports"]
    assert (phone["name"], phone["suffix"], phone["artifact"]) == ("phone", ".tflite", "kept/models/a.tflite")
    assert (phone["max_size"], phone["max_latency"]) == (10, pytest.approx(0.2))
    assert (phone["labels"], phone["calibration"]) == (["cat", "dog"], "typical.npz")
    assert (phone["fold"], phone["certificate"], phone["try_missing"]) == (True, True, True)
    assert (web["name"], web["opset"], web["artifact"]) == ("web", None, None)
    assert plans["models/a.keras"].task["look_at_norms"]
    assert plans["models/a.keras"].timeout == 600


def test_an_override_changes_what_it_names_and_nothing_else(folder):
    plan = plans_of(GOOD)["more/deep/b.h5"]
    assert plan.task["signature"] == "serve"
    (web,) = plan.task["exports"]  # for models/*.keras at the top; phone is skipped
    assert (web["name"], web["opset"]) == ("web", 17)
    assert [allowance.refusal for allowance in plan.allowances["web"]] == ["no kernel"]


def test_every_key_has_its_line():
    lines = key_lines(GOOD)
    where = dict(enumerate(GOOD.splitlines(), 1))
    for path, line in lines.items():
        told = [part for part in path if isinstance(part, str)][-1]
        assert told in where[line], (path, line)
    assert where[lines["allow", 1, "refusal"]] == 'refusal = "no kernel"'
    assert where[lines["override", "more/deep/b.h5", "exports", "web", "opset"]].startswith("exports.web = ")
    assert len(lines) > 30


EXPORTED = '[exports.a]\nformat = "tflite"\n'
WRONG = [
    ("", "the top of the file asks for nothing: add a table [exports.NAME], or [norms]."),
    ("a = [", "keras-norms.toml' is no valid TOML: "),
    ("model = 3\n" + EXPORTED, "keras-norms.toml:1: the top of the file has no key 'model'. Did you mean 'models'?"),
    ('models = "a"\n' + EXPORTED, "keras-norms.toml:1: models must be a list of paths relative to the policy"),
    ('models = ["/a"]\n' + EXPORTED, ":1: models must be a list of paths relative to the policy"),
    ("[exports.a]\nquantise = 'int8'", ":2: [exports.a] has no key 'quantise'. Did you mean 'quantize'? It may have:"),
    ("[exports.a]\nmax_size = 3", "[exports.a] has no key 'max_size'. Did you mean 'max-size'?"),
    ("[exports.a]\nformat = 'tf'", ':2: [exports.a] format must be one of tflite, onnx; got "tf".'),
    ("[exports]\na = 3", "[exports.a] must be a table; got 3."),
    (EXPORTED + "batch-size = true", "[exports.a] batch-size must be a whole number from 1; got true."),
    (EXPORTED + "batch-size = 0", "[exports.a] batch-size must be a whole number from 1; got 0."),
    (EXPORTED + "tolerance = 1.5", "[exports.a] tolerance must be a number between 0 and 1; got 1.5."),
    (EXPORTED + "fold = 1", "[exports.a] fold must be true or false; got 1."),
    (EXPORTED + "max-size = '3 mb'", "must be a number of bytes, or a text with one of the units B, kB, MB, GB, KiB"),
    (EXPORTED + "max-latency = 3", 'must be a text with one of the units us, ms, s, as in "5 ms"; got 3.'),
    (EXPORTED + "calibration = 'none.npz'", ":3: [exports.a] calibration names a file that is not there: 'none.npz'."),
    (EXPORTED + "calibration = 'names.txt'", "must be the path of a file that ends in .npz, relative to the policy"),
    (EXPORTED + "skip = true", "[exports.a] skip has no meaning here: it goes into an override."),
    ('[override."a"]\nexports.b = {models = ["a"]}', "models has no meaning here: it goes into the table of the same"),
    ('[override."/a"]\nunsafe = true', '[override."/a"] must be named by a path relative to the policy'),
    ('[override."a".nomrs]\n', "has no key 'nomrs'. Did you mean 'norms'?"),
    ("[norms]\nmust-fold = 'yes'", '[norms] must-fold must be true or false; got "yes".'),
    ("[norms]\nmay-stay = { bn = '' }", "[norms.may-stay] bn must be a text that says why this norm may stay; got ''."),
    (EXPORTED + "[allow]\nreason = 'a'", "[[allow]] must be a list of tables: write [[allow]]."),
    (EXPORTED + "[[allow]]\nlayer = 'a'", ":3: [[allow]] needs a reason"),
    (EXPORTED + "[[allow]]\nreason = 'a'", "[[allow]] needs refusal, a piece of the error's text, or layer"),
    ("import = 'other.py'\n" + EXPORTED, "import names a file that is not there: 'other.py'."),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=range(len(WRONG)))
def test_what_means_nothing_is_refused(folder, text, told):
    with pytest.raises(PolicyError) as caught:
        written(text)
    assert told in caught.value.message


MODELS = 'models = ["models/a.keras"]\n'
NOT_TOGETHER = [
    ("[exports.a]\nopset = 13", "[exports.a] needs format, one of tflite, onnx."),
    ("[exports.a]\nformat = 'tflite'\nopset = 13", ":4: [exports.a] opset is for .onnx files; this export has"),
    ("[exports.a]\nformat = 'onnx'\ntarget = 'gpu'", "target is for .tflite files; this export has the format onnx."),
    (
        "[exports.a]\nformat = 'onnx'\nquantize = 'int16x8'",
        "int16x8 does not exist for the format onnx; it has float16",
    ),
    ("[exports.a]\nformat = 'onnx'\nquantize = 'int8'", "[exports.a] quantize int8 needs calibration, an .npz file"),
    (
        "[exports.a]\nformat = 'onnx'\nquantize = 'auto'\ncalibration = 'typical.npz'",
        "[exports.a] quantize auto needs max-size, min-db or both, which are its budget.",
    ),
    ("[exports.a]\nformat = 'onnx'\nmin-db = 9", "[exports.a] min-db goes with quantize only."),
    ("[exports.a]\nformat = 'onnx'\nmax-latency-ratio = 9", "is to the float32 file: it goes with quantize or target"),
    ("[exports.a]\nformat = 'onnx'\ncertificate = true", "[exports.a] certificate goes with artifact only."),
    ("[exports.a]\nformat = 'onnx'\nartifact = 'a.tflite'", "[exports.a] artifact must end in .onnx"),
    ("[norms]\nmay-stay = { a = 'b' }", "[norms] may-stay goes with must-fold = true only."),
]


@pytest.mark.parametrize(("text", "told"), NOT_TOGETHER, ids=range(len(NOT_TOGETHER)))
def test_keys_that_do_not_go_together_are_refused(folder, text, told):
    with pytest.raises(PolicyError, match="keras-norms.toml:") as caught:
        plans_of(MODELS + text)
    assert told in caught.value.message


def test_two_exports_do_not_keep_the_same_file(folder):
    with pytest.raises(
        PolicyError, match=r"'kept.tflite' would be kept for a of models/a.keras and for a of .*{model}"
    ):
        plans_of('models = ["models/*.keras"]\n[exports.a]\nformat = "tflite"\nartifact = "kept.tflite"')


def test_a_pattern_of_models_that_matches_nothing_is_refused(folder):
    with pytest.raises(PolicyError, match="models has 'model/.*', which stands for no file"):
        plans_of('models = ["model/*.keras"]\n' + EXPORTED)


@pytest.mark.parametrize(
    ("given", "models"),
    [
        ([], ["models/a.keras", "more/deep/b.h5"]),
        (["more"], ["more/deep/b.h5"]),
        (["models/old.keras", "models"], ["models/old.keras", "models/a.keras"]),
    ],
)
def test_paths_on_the_command_line_choose_models(folder, given, models):
    policy = written(GOOD)
    chosen = chosen_models(policy, find_models(policy), [Path(path) for path in given])
    assert [str(path) for path in chosen] == models


def test_without_models_in_the_policy_a_folder_stands_for_its_model_files(folder):
    policy = written(EXPORTED)
    assert [str(path) for path in chosen_models(policy, [], [Path("more")])] == ["more/deep/b.h5"]
    with pytest.raises(PolicyError, match=r'names no models: add models = \["models/'):
        chosen_models(policy, [], [])
    with pytest.raises(PolicyError, match="'none.keras' cannot be checked: there is no such file"):
        chosen_models(policy, [], [Path("none.keras")])


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [("1.5 MB", SIZES, 1.5e6), ("2KiB", SIZES, 2048), ("200 us", MILLISECONDS, 0.2), ("15 min", SECONDS, 900)],
)
def test_quantities(text, units, value):
    assert quantity(text, units) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "-5 MB", "0 MB", "1e400 MB", "MB", 5, None, True])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="no number"):
        quantity(text, SIZES)


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (None, [], "There is no policy 'keras-norms.toml'. Write one named keras-norms.toml, or name it with --policy"),
        ("[exports.a]\nformt = 3", [], "keras-norms.toml:2: [exports.a] has no key 'formt'."),
        (MODELS + EXPORTED + '[override."modles/a.keras"]\nunsafe = true', [], "matches none of the models."),
        (MODELS + EXPORTED, ["--junit", "none/a.xml"], "cannot be written: there is no folder 'none'."),
        (MODELS + EXPORTED, ["none.keras"], "'none.keras' cannot be checked: there is no such file."),
    ],
    ids=range(5),
)
def test_the_command_ends_with_2_before_anything_is_read(folder, text, arguments, told):
    if text is not None:
        Path("keras-norms.toml").write_text(text)
    result = CliRunner().invoke(cli, ["check", *arguments])
    assert result.exit_code == 2
    assert told in result.output


def test_the_documentation_has_every_key():
    text = (Path(__file__).parents[3] / "docs" / "check.md").read_text(encoding="utf-8")
    section = text[text.index("## Every key") : text.index("## What comes out")]
    rows = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    keys = [*TOP, *NORMS, "may-stay", *EXPORT, *ALLOW]
    assert sorted(rows) == sorted(keys)
    for table in {*TABLES, *OVERRIDE_TABLES}:
        assert f"[{table}" in text
    assert set(READING) <= set(rows)
