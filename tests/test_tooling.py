"""What stands twice agrees: versions, bounds, commands, and the steps of continuous integration."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = "-m pytest -n 2 --dist loadfile"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, set[str]]:
    """{package: the versions that a constraints file allows}"""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", text(name), re.MULTILINE):
        found.setdefault(package.lower(), set()).add(version)
    return found


def bounds() -> dict[str, str]:
    """{package: its lower bound} of everything that pyproject.toml names."""
    quoted = re.findall(r'"([\w-]+)>=([\d.]+)"', text("pyproject.toml"))
    return {package.lower(): version for package, version in quoted}


def test_the_version_is_that_of_the_project():
    import keras_norms

    (version,) = re.findall(r'^version = "(.+)"$', text("pyproject.toml"), re.MULTILINE)
    assert keras_norms.__version__ == version
    assert f"\nversion: {version}\n" in text("CITATION.cff")
    assert f"\n## [{version}]" in text("CHANGELOG.md") or "\n## [Unreleased]" in text("CHANGELOG.md")


def test_another_name_is_no_version():
    import keras_norms

    with pytest.raises(AttributeError, match="has no attribute '__versoin__'"):
        keras_norms.__versoin__  # noqa: B018


def test_the_oldest_constraints_are_the_lower_bounds():
    found = {
        name: version for name, (version,) in ((name, tuple(v)) for name, v in pins("constraints-oldest.txt").items())
    }
    expected = {name: version for name, version in bounds().items() if name != "setuptools"}
    found.pop("setuptools", None)
    assert found == expected


def test_every_dependency_is_pinned_above_its_lower_bound():
    from packaging.version import Version

    pinned = pins("constraints.txt")
    for name, bound in bounds().items():
        for version in pinned[name]:
            assert Version(version) >= Version(bound), name


def test_the_linters_before_a_commit_have_the_pinned_versions():
    config = text(".pre-commit-config.yaml")
    assert f"rev: v{min(pins('constraints.txt')['ruff'])}\n" in config
    assert f"mypy {min(pins('constraints.txt')['mypy'])} " in config


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/tests.yml"])
def test_every_place_gives_the_same_test_command(name):
    found = re.findall(r"-m pytest\b[^\n]*-n 2[^\n]*", text(name))
    assert found, f"{name} does not say how the whole suite is run"
    for line in found:
        assert line.startswith(COMMAND), f"{name}: {line}"


def steps(name: str) -> list[str]:
    return re.findall(r"^ *- run: (.+)$", text(name), re.MULTILINE)


def test_the_workflow_runs_what_ci_runs():
    run = text(".ci/run")
    for command in ("ruff check .", "ruff format --check .", ".ci/types", ".ci/smoke.py"):
        assert command in run.replace('"$environment/bin/ruff"', "ruff"), command
        assert any(command in step for step in steps(".github/workflows/tests.yml")), command


YAML = [".pre-commit-config.yaml", ".pre-commit-hooks.yaml", ".github/workflows/tests.yml", "CITATION.cff"]


@pytest.mark.parametrize("path", YAML)
def test_yaml_keeps_its_form(path):
    """A light check, as no YAML parser is a dependency: no tabs, even indents, every line a comment, key or item."""
    for line in text(path).splitlines():
        assert "\t" not in line
        assert (len(line) - len(line.lstrip())) % 2 == 0, line
        assert not line.strip() or re.match(r"\s*(#|- \S|[\w-]+:( \S|$))", line), line


def test_scripts_of_the_workflow_exist():
    for path in re.findall(r"\.ci/[\w.]+", text(".github/workflows/tests.yml") + text("CONTRIBUTING.md")):
        assert (ROOT / path).is_file(), path


def test_the_marker_is_registered_once_and_explained():
    assert text("pyproject.toml").count('"runtime: converts a model or starts a process') == 1
    assert 'pytest -m "not runtime"' in text("CONTRIBUTING.md")


def inputs_of_the_action() -> list[str]:
    section = text("action.yml").split("inputs:\n")[1].split("runs:\n")[0]
    return re.findall(r"^  ([\w-]+):$", section, re.MULTILINE)


def test_the_action_and_the_hook_call_the_command_as_it_is():
    from keras_norms_cli.commands.check_models import check

    known = {option for parameter in check.params for option in parameter.opts}
    action, hook = text("action.yml"), text(".pre-commit-hooks.yaml")
    script = action[action.index("keras-norms check --policy") :]
    assert set(re.findall(r"--[a-z]+", script)) <= known
    assert "\n  entry: keras-norms check\n" in hook
    assert '".[export]"' in hook
    assert "[export]" in action


def test_the_action_and_the_hook_are_documented():
    documented = text("docs/check.md")
    for name in inputs_of_the_action():
        assert f"`{name}`" in documented, name
    (hook,) = re.findall(r"^- id: (.+)$", text(".pre-commit-hooks.yaml"), re.MULTILINE)
    assert f"- id: {hook}\n" in documented


def test_inputs_of_the_action_are_no_part_of_its_scripts():
    """An expression in a script is pasted into it: whoever sets an input could run commands."""
    for script in re.findall(r"run: \|\n((?: {8}.*\n)+)", text("action.yml")):
        assert "${{" not in script
    assert text("action.yml").count("${{ inputs.") == len(inputs_of_the_action()) - 1  # `install` is in a condition
