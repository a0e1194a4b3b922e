"""Which part of export/ may import which: one table, held for every module, lazy imports too."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from keras_norms.export.formats import FORMATS

EXPORT = Path(__file__).parents[1] / "export"

# From the bottom up: a part may import itself and the parts above it in this table, unless NEVER says otherwise.
STAGES = (
    "errors",
    "progress",
    "options",
    "report",
    "worker",
    "model",
    "loading",
    "folding",
    "lowerings",
    "saved_model",
    "artifact",
    "quantization",
    "formats",
    "verification",
    "budget",
    "pipeline",
    "api",
    "__init__",
    "check",
    "demo",
    "cli",
)
# Part: what it must not import although that stands above it, and why.
NEVER = {
    "report": ({"progress", "options"}, "reports are plain data that anyone may read"),
    "worker": ({"options", "report"}, "the process runs whatever function it is told"),
    "model": ({"worker"}, "reading a model starts no process"),
    "folding": ({"loading", "worker"}, "a fold takes a model, not a file"),
    "lowerings": ({"folding", "loading", "worker", "report"}, "a lowering knows one layer"),
    "saved_model": ({"folding", "loading"}, "what is recorded is a model, whoever made it"),
    "artifact": ({"lowerings", "saved_model", "folding", "loading"}, "files of any kind of model"),
}
# Names that mean the same part in every format, so that they may stand twice.
OF_EACH_FORMAT = {"runtime", "metadata", "tensors"}


def modules() -> list[Path]:
    return sorted(EXPORT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(EXPORT).as_posix()


def imported_parts(path: Path) -> set[str]:
    """The parts of export/ that the relative imports in a file name, wherever they stand in it."""
    parts = path.relative_to(EXPORT).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = parts[: len(parts) - node.level]
            whole = [*package, *(node.module.split(".") if node.module else [])]
            names = {alias.name for alias in node.names}
            found |= {whole[0]} if whole else {name if name in STAGES else "__init__" for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keras_norms.export"):
            found.add([*node.module.split("."), "__init__"][2])
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_one_way(path):
    part = path.relative_to(EXPORT).with_suffix("").parts[0]
    assert part in STAGES, f"{name_of(path)} belongs to no stage: give it a row"
    forbidden, why = NEVER.get(part, (set(), ""))
    for other in imported_parts(path) - {part}:
        assert other in STAGES, f"{name_of(path)} imports '{other}', which is no stage"
        assert STAGES.index(other) < STAGES.index(part), f"{name_of(path)} imports {other}, which comes later"
        assert other not in forbidden, f"{name_of(path)} imports {other}: {why}"


def imported_at_once(path: Path) -> tuple[set[str], set[Path]]:
    """What importing a module of export/ imports with it: packages of others, and files of export/."""
    parts, others, ours = path.relative_to(EXPORT).with_suffix("").parts, set(), set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            package = EXPORT.joinpath(*parts[: len(parts) - node.level], *(node.module or "").split("."))
            named = [package / alias.name for alias in node.names]
            found = [file for place in (package, *named) for file in (place.with_suffix(".py"), place / "__init__.py")]
            ours |= {file for file in found if file.is_file()}
    return others, ours


def test_the_process_that_runs_files_of_strangers_imports_no_keras():
    """It would take seconds to start, and TensorFlow gigabytes; only Flex operations need it."""
    formats = EXPORT / "formats"
    todo = [EXPORT / "worker" / "guarded_server.py", formats / "isolated_jobs.py"]
    todo += [formats.joinpath(*module.split(".")).with_suffix(".py") for _, module in FORMATS]
    todo.append(formats / "tflite" / "delegates" / "delegate_findings.py")
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        others, ours = imported_at_once(path)
        assert not others & {"keras", "keras_norms", "tensorflow", "tf2onnx"}, f"{name_of(path)} imports {others}"
        todo += ours
    assert len(seen) > 30


def test_the_table_sees_a_wrong_import(tmp_path, monkeypatch):
    """A lazy import of a later stage, as one would slip in."""
    monkeypatch.setitem(globals(), "EXPORT", tmp_path)
    wrong = tmp_path / "folding" / "planner.py"
    wrong.parent.mkdir()
    wrong.write_text("def plan():\n    from ..verification.verify import verify\n    from ..model import facts\n")
    assert imported_parts(wrong) == {"verification", "model"}
    with pytest.raises(AssertionError, match="folding/planner.py imports verification, which comes later"):
        test_imports_run_one_way(wrong)


def test_every_module_has_a_name_of_its_own():
    stems = Counter(path.stem for path in modules() if path.stem not in ("__init__", "__main__"))
    twice = {stem for stem, count in stems.items() if count > 1} - OF_EACH_FORMAT
    assert not twice, f"each name should say what the module is where it is: {sorted(twice)}"
