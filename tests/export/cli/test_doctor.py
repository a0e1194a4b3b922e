"""`keras-norms doctor`, and what else tells of an installation: versions and shell completion."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli
from keras_norms_cli.doctor import start_runtimes
from keras_norms_cli.doctor.examination import examine
from keras_norms_cli.doctor.parts import PARTS, RUNTIMES, Part, is_older, oldest, python_fits, pythons
from keras_norms_cli.doctor.start_runtimes import Runtime, Started, start

ROOT = Path(__file__).parents[3]


def test_every_package_of_the_extras_for_users_is_a_part():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = {("", name) for name in re.findall(r'"([\w-]+)>=', re.search(r"^dependencies = .*$", text, re.M)[0])}
    for extra in ("export", "legacy", "demo", "backends", "micro", "npu"):
        block = re.search(rf"^{extra} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)[1]
        named |= {(extra, name) for name in re.findall(r'"([\w-]+)(?:[>"])', block)}
    if sys.version_info >= (3, 11):
        named -= {("export", "tomli")}
    assert {(part.extra, part.package) for part in PARTS} == named
    assert {part.package for part in PARTS} >= set(RUNTIMES)


@pytest.mark.parametrize(
    ("found", "bound", "older"),
    [
        ("2.19.1", "2.20", True),
        ("2.20.0", "2.20", False),
        ("2.20", "2.20.0", False),
        ("2.20.0rc1", "2.20", False),
        ("10.0", "9.1", False),
        ("2.13.0+cpu", "2.13", False),
        ("0.dev2026", "1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(found, bound, older):
    assert is_older(found, bound) is older


@pytest.mark.parametrize(("now", "fits"), [((3, 9), False), ((3, 10), True), ((3, 13), True), ((3, 14), False)])
def test_pythons(now, fits):
    assert pythons() == ">=3.10,<3.14"
    assert python_fits(pythons(), now) is fits


def test_bounds_are_those_of_the_installation():
    assert (
        oldest()["tensorflow"]
        == re.search(r'"tensorflow>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    )


WORKS = Started("LiteRT", 0.1)


def test_what_is_missing_is_a_choice_and_what_is_required_is_not():
    absent = Part("surely-not-installed", "legacy", "nothing")
    found = examine([WORKS], [absent])
    assert found.ok
    assert (found.parts[0].state, found.parts[0].remedy) == ("missing", "pip install 'keras-norms[legacy]'")
    required = examine([WORKS], [Part("surely-not-installed", "", "nothing")])
    assert not required.ok
    assert required.parts[0].remedy == "pip install keras-norms"


def test_a_version_that_is_too_old_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setattr("keras_norms_cli.doctor.examination.oldest", lambda: {"numpy": "99.0"})
    found = examine([WORKS], [Part("numpy", "", "arithmetic")])
    assert (found.ok, found.parts[0].state) == (False, "too old")
    assert found.parts[0].remedy == "pip install --upgrade numpy"


def test_a_runtime_that_does_not_start_is_a_failure():
    assert not examine([Started("LiteRT", 0.1, "its process was ended by signal 6 (SIGABRT)")], []).ok
    assert examine([Started("LiteRT", 0.0, skipped="ai-edge-litert")], []).ok


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("pass", None),
        ("import os; os.abort()", "its process was ended by signal 6 (SIGABRT)"),
        ("raise ImportError('undefined symbol: f')", "ImportError: undefined symbol: f"),
        ("import sys; sys.exit(3)", "its process ended with code 3"),
        ("while True: pass", "it was still running after 1 seconds"),
    ],
)
def test_a_broken_runtime_does_not_end_doctor(monkeypatch, program, problem):
    monkeypatch.setattr(start_runtimes, "_SECONDS", 1 if "while" in program else 60)
    assert start(Runtime("it", (), program)).problem == problem


def test_a_runtime_whose_package_is_not_there_is_skipped():
    assert start(Runtime("it", ("surely-not-installed",), "")).skipped == "surely-not-installed"


@pytest.mark.runtime
def test_the_command_starts_the_runtimes(monkeypatch):
    light = tuple(runtime for runtime in start_runtimes.RUNTIMES if "tensorflow" not in runtime.packages)
    assert len(light) == 2
    monkeypatch.setattr(start_runtimes.start_all, "__defaults__", (light,))
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(each["problem"], each["skipped"]) for each in found["runtimes"]] == [(None, None)] * 2
    assert {part["package"] for part in found["parts"]} == {part.package for part in PARTS}


@pytest.mark.parametrize("runtime", start_runtimes.RUNTIMES, ids=lambda runtime: runtime.packages[0])
def test_the_program_of_each_runtime_passes_here(runtime):
    exec(compile(runtime.program, runtime.name, "exec"), {})


def test_the_table_names_each_package_and_runtime(monkeypatch):
    started = [WORKS, Started("tf2onnx", 0.0, skipped="tf2onnx"), Started("ONNX Runtime", 0.1, "ImportError: no")]
    monkeypatch.setattr(start_runtimes, "start_all", lambda: started)
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1
    for part in PARTS:
        assert f" {part.package} " in result.output
    assert re.search(r"FAILED +ONNX Runtime +ImportError: no", result.output)
    assert re.search(r"skipped +tf2onnx +tf2onnx is not installed", result.output)
    assert re.search(r"ok +LiteRT +0.1 s", result.output)


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F _keras_norms_completion keras-norms"),
        ("zsh", "compdef _keras_norms_completion keras-norms"),
        ("fish", 'complete --no-files --command keras-norms --arguments "(_keras_norms_completion)"'),
    ],
)
def test_the_shells_get_their_completion(shell, line):
    environment = {**os.environ, "_KERAS_NORMS_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "keras_norms_cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert line in done.stdout
    page = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
    assert f"{shell}_source" in page


@pytest.mark.runtime
def test_completion_knows_the_subcommands():
    words = {"COMP_WORDS": "keras-norms in", "COMP_CWORD": "1", "_KERAS_NORMS_COMPLETE": "bash_complete"}
    command = [sys.executable, "-m", "keras_norms_cli"]
    done = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,inspect"]
