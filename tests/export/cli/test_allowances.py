"""Which refusals a policy allows, and which of its allowances are stale: on outcomes that are made up."""

from pathlib import Path

import pytest
from keras_norms_cli.checking.allowances import Allowances
from keras_norms_cli.policy.find_models import find_models
from keras_norms_cli.policy.plan_models import plan_models
from keras_norms_cli.policy.read_policy import read_policy

POLICY = """
models = ["*.keras"]
[exports.phone]
format = "tflite"
[exports.web]
format = "onnx"
[norms]
must-fold = true
may-stay = { "block/*" = "as it is drawn", gone = "it was there once" }
[override."b.keras".norms]
may-stay = { other = "only in b" }
[[allow]]
model = "a.keras"
export = "ph*"
refusal = "no KERNEL"
reason = "words"
[[allow]]
layer = "top"
reason = "a layer"
[[allow]]
export = "desk"
layer = "x"
reason = "no such export"
"""


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.keras", "b.keras"):
        (tmp_path / name).touch()
    Path("keras-norms.toml").write_text(POLICY)
    policy = read_policy(Path("keras-norms.toml"))
    plans = plan_models(policy, find_models(policy), update=False)
    return Allowances(policy), {plan.path.stem: plan for plan in plans}


def refused(export, text):
    return {"kind": "refused", "export": export, "text": text, "layer": None}


def stays(layer):
    return {"kind": "norm-stays", "export": None, "text": "it follows", "layer": layer}


@pytest.mark.parametrize(
    ("model", "outcome", "reason"),
    [
        ("a", refused("phone", "There is no kernel for it."), "words"),
        ("a", refused("phone", "Layer 'top' has none."), "a layer"),
        ("a", refused("web", "There is no kernel for it."), None),
        ("b", refused("phone", "There is no kernel for it."), None),
        ("b", refused("web", "The layer 'topmost' has none."), None),
        ("a", stays("block/bn"), "as it is drawn"),
        ("a", stays("other"), None),
        ("b", stays("other"), "only in b"),
        ("b", stays("block/bn"), "as it is drawn"),
    ],
)
def test_what_is_allowed(found, model, outcome, reason):
    allowances, plans = found
    assert allowances.reason(plans[model], outcome)[0] == reason


def test_a_refusal_in_other_words_tells_those_that_are_allowed(found):
    allowances, plans = found
    reason, also = allowances.reason(plans["a"], refused("phone", "Out of memory."))
    assert reason is None
    assert also == " The policy allows a refusal here that names 'no KERNEL'; this one does not."


def texts(allowances, plans, finished):
    return [
        check.text for check in allowances.stale(list(plans.values()), [Path(f"{name}.keras") for name in finished])
    ]


def test_what_nothing_needs_is_stale_where_all_that_it_is_for_was_checked(found):
    allowances, plans = found
    unused = "it is for no model and export of this policy: remove this table [[allow]]."
    assert texts(allowances, plans, []) == [unused]
    words = "nothing is refused in the words 'no KERNEL' any more: remove this table [[allow]]."
    assert texts(allowances, plans, ["a"]) == [words, unused]
    everything = texts(allowances, plans, ["a", "b"])
    assert "nothing is refused of 'top' any more: remove this table [[allow]]." in everything
    for layer in ("block/*", "gone", "other"):
        assert f"no norm '{layer}' stays any more: remove it from may-stay." in everything
    assert len(everything) == 6


def test_what_was_needed_is_not_stale(found):
    allowances, plans = found
    for outcome in (refused("phone", "no kernel"), refused("phone", "'top'"), stays("block/a")):
        allowances.reason(plans["a"], outcome)
    told = texts(allowances, plans, ["a", "b"])
    assert [text for text in told if "refused" in text or "block" in text] == []
    lines = {check.text: check.line for check in allowances.stale(list(plans.values()), [Path("b.keras")])}
    assert lines["no norm 'other' stays any more: remove it from may-stay."] == 11
