"""The reports of `keras-norms check`, of a run that is made up: no model is read and nothing is converted."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from keras_norms_cli.checking.check_results import KINDS, Check, Run
from keras_norms_cli.checking.check_table import lines, total
from keras_norms_cli.checking.junit_report import junit
from keras_norms_cli.checking.markdown_summary import markdown
from keras_norms_cli.checking.report_files import ReportFiles
from keras_norms_cli.checking.sarif_report import sarif

GOOD, BAD = "models/good.keras", "models/näch | ste.keras"
CHECKS = (
    Check(GOOD, "read", None, "passed", None, "326 parameters", file=GOOD, seconds=0.25),
    Check(GOOD, "norms", None, "allowed", "norm-stays", "it follows a ReLU", layer="bn", allowed_because="as made"),
    Check(GOOD, "artifact", "phone", "updated", None, "written: 8 bytes", file="kept/good.tflite", line=5),
    Check(GOOD, "noise", "phone", "skipped", None, "there is no file"),
    Check(BAD, "size", "phone", "failed", "too-large", "8 bytes; at most 7 bytes", file="kept/bad.tflite", line=6),
    Check(BAD, "checks", None, "failed", "crashed", "The process <was> ended & gone", file=BAD),
)
RUN = Run(Path("keras-norms.toml"), (GOOD, BAD, "models/unchecked.keras"), CHECKS)
GREEN = Run(Path("keras-norms.toml"), (GOOD,), CHECKS[:1])


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_table_has_a_line_a_check_and_the_reason_under_each_failure():
    text = "\n".join(line for model, checks in RUN.by_model().items() for line in lines(RUN.policy, model, checks))
    assert "  ok       read             326 parameters\n" in text
    assert "  allowed  norms: bn\n           It follows a ReLU\n           allowed: as made\n" in text
    assert (
        "  FAILED   phone: size\n           8 bytes; at most 7 bytes\n           [too-large] keras-norms.toml:6" in text
    )
    assert total(RUN) == ("3 models, 6 checks: 1 passed, 1 updated, 1 allowed, 1 skipped, 2 failed.")


def test_junit_counts_what_it_holds():
    root = ElementTree.fromstring(junit(RUN))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "6",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
        "time": "0.250",
    }
    for suite in root:
        assert suite.tag == "testsuite"
        assert len(suite) == int(suite.get("tests"))
        for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{tag}")) == int(suite.get(count))
    (failure,) = root.iter("failure")
    assert (failure.get("type"), failure.text) == ("too-large", "8 bytes; at most 7 bytes")
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert (BAD, "phone: size") in names
    assert len(set(names)) == len(names)


def test_sarif_has_a_rule_for_each_kind_and_a_place_for_each_failure():
    log = json.loads(sarif(RUN))
    (run,) = log["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert [rule["id"] for rule in rules] == [kind for kind in KINDS if kind in ("too-large", "crashed")]
    assert len(results) == 2
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
    size, crash = results
    place = {"artifactLocation": {"uri": "keras-norms.toml"}, "region": {"startLine": 6}}
    assert size["locations"] == [{"physicalLocation": place}]
    (file,) = size["relatedLocations"]
    assert file["physicalLocation"]["artifactLocation"]["uri"] == "kept/bad.tflite"
    (at,) = crash["locations"]
    assert at["physicalLocation"] == {"artifactLocation": {"uri": "models/n%C3%A4ch%20%7C%20ste.keras"}}
    assert len({result["partialFingerprints"]["check/v1"] for result in results}) == 2


def test_sarif_of_a_run_without_failures_has_no_results():
    (run,) = json.loads(sarif(GREEN))["runs"]
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


def test_sarif_names_files_from_the_repository(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (run,) = json.loads(sarif(RUN))["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "below/keras-norms.toml"
    outside = Check("../../x.keras", "read", None, "failed", "unreadable-model", "it is gone", file="../../x.keras")
    (run,) = json.loads(sarif(Run(Path("keras-norms.toml"), (), (outside,))))["runs"]
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == (tmp_path.parent / "x.keras").as_uri()


def test_markdown_shows_names_as_text():
    text = markdown(RUN)
    assert text.startswith("## keras-norms check: failed\n")
    assert "The process \\<was\\> ended & gone" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == len(CHECKS) + 2
    for row in rows[2:]:
        assert row.replace("\\|", "").count("|") == 5


def test_json_has_every_check_under_its_model():
    data = RUN.to_dict()
    assert [model["path"] for model in data["models"]] == [GOOD, BAD, "models/unchecked.keras"]
    assert [len(model["checks"]) for model in data["models"]] == [4, 2, 0]
    assert (data["ok"], GREEN.to_dict()["ok"]) == (False, True)
    assert data["models"][1]["checks"][0]["kind"] == "too-large"


def test_reports_replace_and_the_summary_is_appended(tmp_path):
    files = ReportFiles(Path("a.xml"), Path("a.sarif"), Path("a.md"))
    for _ in range(2):
        files.write(RUN)
    assert Path("a.xml").read_text(encoding="utf-8") == junit(RUN)
    assert Path("a.sarif").read_text(encoding="utf-8") == sarif(RUN)
    assert Path("a.md").read_text(encoding="utf-8") == 2 * markdown(RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "a.sarif", "a.xml"]


def test_every_kind_says_what_is_wrong_and_what_helps():
    documented = (Path(__file__).parents[3] / "docs" / "check.md").read_text(encoding="utf-8")
    for kind, (wrong, helps) in KINDS.items():
        assert wrong.endswith(".")
        assert helps.endswith(".")
        assert f"`{kind}`" in documented
