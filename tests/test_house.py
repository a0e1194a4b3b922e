"""The rules of the house: who may import whom, complete tables, a wheel that holds everything, light imports."""

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONVERTERS = {"tensorflow", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert"}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """(module, level, at the top of the file) of each import."""
    tree = ast.parse(path.read_text())
    top = set(tree.body)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, 0, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(name, node.level, node in top) for name in names]
    return found


@pytest.mark.parametrize("path", modules("keras_norms"), ids=lambda p: p.name)
def test_layers_import_keras_and_numpy_only(path):
    allowed = set(sys.stdlib_module_names) | {"keras", "numpy", "keras_norms"}
    for name, level, top in imports(path):
        if level == 0 and top:
            assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
            assert not name.startswith("keras_norms.export")


# The graph that both converters read, that of a model which is called again and again, and other people's SavedModels.
TENSORFLOW = (
    "saved_model/record.py",
    "saved_model/frozen_graph.py",
    "saved_model/aspect_ratio.py",
    "saved_model/portable_angles.py",
    "saved_model/portable_arrays.py",
    "saved_model/portable_bits.py",
    "saved_model/portable_colors.py",
    "saved_model/portable_fourier.py",
    "saved_model/portable_integers.py",
    "saved_model/portable_linalg.py",
    "saved_model/portable_logarithms.py",
    "saved_model/portable_ops.py",
    "saved_model/portable_quantiles.py",
    "saved_model/portable_infinities.py",
    "saved_model/portable_recurrent.py",
    "saved_model/portable_repeat.py",
    "saved_model/portable_spatial.py",
    "saved_model/portable_resizing.py",
    "saved_model/portable_search.py",
    "saved_model/portable_special.py",
    "saved_model/portable_transforms.py",
    "saved_model/resizing_weights.py",
    "saved_model/transposed_padding.py",
    "model/repeated_calls.py",
    "loading/code_in_file.py",
    "loading/signature_model.py",
    "loading/graph_safety.py",
)


@pytest.mark.parametrize("path", modules("export"), ids=lambda p: str(p.relative_to(ROOT / "export")))
def test_converters_are_imported_by_targets_alone(path):
    place = path.relative_to(ROOT / "export")
    if place.parts[0] in ("formats", "demo") or place.as_posix() in TENSORFLOW:
        return
    for name, level, _ in imports(path):
        assert level or name.split(".")[0] not in CONVERTERS, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules("export"), ids=lambda p: str(p.relative_to(ROOT / "export")))
def test_relative_imports_stay_inside_export(path):
    parts = path.relative_to(ROOT / "export").with_suffix("").parts
    for name, level, _ in imports(path):
        assert level <= len(parts), f"{path} imports from above export/"
        assert level or name.split(".")[0] != "export", f"{path} imports the top-level export"


@pytest.mark.parametrize("folder", ["folding/rules", "lowerings", "formats", "loading/translations"])
def test_every_file_stands_in_its_table(folder):
    listed = (ROOT / "export" / folder / "__init__.py").read_text()
    helpers = {
        "folding/rules": {"base"},
        "lowerings": {"parameters", "pooled", "grouped"},
        "formats": {"protocol", "stages", "rewrite_log", "isolated", "isolated_jobs"},
        "loading/translations": {"translation"},
    }[folder]
    files = {path.stem for path in (ROOT / "export" / folder).glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "export" / folder).glob("*/__init__.py")}
    for name in (files | packages) - helpers:
        assert name in listed, f"{folder}/{name} is in no table"


def test_the_public_layers_all_have_a_lowering():
    import keras
    from keras_norms.export.lowerings import LOWERINGS

    import keras_norms

    layers = {getattr(keras_norms, name) for name in keras_norms.__all__}
    layers = {cls for cls in layers if isinstance(cls, type) and issubclass(cls, keras.Layer)}
    # A wrapper is what is in it: it folds, and what it does to a constant kernel the converters compute themselves.
    layers = {cls for cls in layers if not issubclass(cls, keras.layers.Wrapper)}
    without = sorted(cls.__name__ for cls in layers - {kind for kind, _ in LOWERINGS})
    assert not without, f"LOWERINGS of export/lowerings/__init__.py has no row for {without}"


def test_every_norm_stands_in_the_tables_of_norms():
    """The tools of training, folding and half precision each know the norms by a table."""
    from keras_norms.export.folding.rules.norm import TAILS
    from keras_norms.export.lowerings import HALF_SAFE, INTEGER, LOWERINGS
    from models import NORMS

    import keras_norms
    from keras_norms._norms import BATCH_NORMS, SAMPLE_NORMS

    for name in (name for name in keras_norms.__all__ if name.endswith("Normalization")):
        norm = getattr(keras_norms, name)
        of_batches = issubclass(norm, BATCH_NORMS)
        assert of_batches or norm in SAMPLE_NORMS, f"{name} is in no table of keras_norms/_norms.py"
        assert of_batches or norm in TAILS["all"], f"{name} is not among TAILS of export/folding/rules/norm.py"
        assert name in NORMS, f"{name} has no row in NORMS of tests/support/models.py"
    for kind, _ in LOWERINGS:
        if kind.__name__.endswith("Normalization") and not issubclass(kind, BATCH_NORMS):
            half = {safe for safe, _ in HALF_SAFE}
            assert kind in half, f"HALF_SAFE of export/lowerings/__init__.py has no row for {kind.__name__}"
            of_integers = {whole for whole, _ in INTEGER}
            assert kind in of_integers, f"INTEGER of export/lowerings/__init__.py has no row for {kind.__name__}"


def test_every_public_layer_has_a_case_row_and_every_lowering_an_operation_row():
    from layer_cases import CASES

    import keras_norms

    made, lowered = {case.layer for case in CASES}, (ROOT / "tests/export/test_export.py").read_text()
    for name in keras_norms.__all__:
        if name.endswith("Normalization"):
            assert getattr(keras_norms, name) in made, f"{name} has no row in CASES of tests/support/layer_cases.py"
            has_row = f'"{name}": (' in lowered
            assert has_row, f"{name} has no row in LOWERED of tests/export/test_export.py: the operations it becomes"


def test_no_module_grows_beyond_one_idea():
    for path in (*modules("keras_norms"), *modules("export")):
        assert len(path.read_text().splitlines()) <= 300, f"{path} is longer than 300 lines"


def test_every_folder_is_packaged():
    text = (ROOT / "pyproject.toml").read_text()
    for folder in {path.parent for root in ("keras_norms", "export") for path in modules(root)}:
        place = folder.relative_to(ROOT).as_posix()
        name = f"/{place}".replace("/export/cli", "/keras_norms_cli").replace("/export", "/keras_norms/export")[1:]
        assert f'"{name.replace("/", ".")}"' in text, f"add '{name.replace('/', '.')}' to packages in pyproject.toml"


@pytest.mark.runtime
def test_the_wheel_holds_every_module(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packed = {name for name in names if name.endswith(".py")}
    installed = {"export/cli/": "keras_norms_cli/", "export/": "keras_norms/export/", "keras_norms/": "keras_norms/"}
    expected = set()
    for path in (*modules("keras_norms"), *modules("export")):
        place = path.relative_to(ROOT).as_posix()
        folder = next(folder for folder in installed if place.startswith(folder))
        expected.add(installed[folder] + place.removeprefix(folder))
    assert packed == expected
    assert "keras_norms/py.typed" in names


# One process answers all, outside of the repository: what each import loads, in this order, and where `export` is.
IMPORTS = """
import importlib.util, json, sys, types
loaded = {}
for name in ("keras", "keras_norms", "keras_norms.export"):
    importlib.import_module(name)
    loaded[name] = sorted({module.split(".")[0] for module in sys.modules})
    if name == "keras_norms":
        early = "__version__" in vars(sys.modules[name])
        modules = sorted(sys.modules)
import keras_norms.callbacks  # which imports modules that public names come from
kinds = {name: isinstance(getattr(keras_norms, name), types.ModuleType) for name in keras_norms.__all__}
version = [early, sys.modules["keras_norms"].__version__]
rules = [name for name in sys.modules if name.startswith("keras_norms.export.folding.rules")]
import keras
x = keras.Input((2,))
y = keras.layers.Add()([x, x])
names = [keras.Model(x, y).name, x._keras_history.operation.name, y._keras_history.operation.name]
export = str(importlib.util.find_spec("export"))
print(json.dumps({"loaded": loaded, "version": version, "export": export, "names": names, "rules": rules,
                  "modules": modules, "kinds": kinds}))
"""


@pytest.fixture(scope="module")
def outside():
    command = [sys.executable, "-c", IMPORTS]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return json.loads(result.stdout)


@pytest.mark.runtime
def test_importing_the_layers_loads_no_converter(outside):
    assert set(outside["loaded"]["keras_norms"]) - set(outside["loaded"]["keras"]) == {"keras_norms"}


@pytest.mark.runtime
def test_importing_the_layers_leaves_the_tools_for_later(outside):
    """They would double what importing the layers adds to importing Keras: benchmarks/start_times.py measures it."""
    from keras_norms import _LATER

    for module in set(_LATER.values()):
        assert f"keras_norms.{module}" not in outside["modules"]
    assert sum(name.startswith("keras_norms.") for name in outside["modules"]) < 45
    assert not any(outside["kinds"].values()), "a module stands in the place of a public name"


@pytest.mark.runtime
def test_the_version_is_looked_up_only_when_it_is_asked_for(outside):
    early, version = outside["version"]
    assert not early
    assert version


@pytest.mark.runtime
def test_importing_export_loads_no_converter_and_no_runtime(outside):
    assert not set(outside["loaded"]["keras_norms.export"]) & (CONVERTERS - {"tensorflow"})


@pytest.mark.runtime
def test_importing_the_rules_uses_up_no_names(outside):
    """A model built after the import is named as one built before."""
    assert "keras_norms.export.folding.rules" in outside["rules"]
    assert outside["names"] == ["functional", "input_layer", "add"]


@pytest.mark.runtime
def test_the_top_level_export_package_does_not_exist_outside_the_repository(outside):
    assert outside["export"] == "None"


def test_a_test_without_the_marker_starts_no_process():
    from keras_norms.export.worker.client import start_child

    with pytest.raises(pytest.fail.Exception, match="starts a process .* mark this test runtime"):
        subprocess.run([sys.executable, "-c", "pass"])
    with pytest.raises(pytest.fail.Exception, match="mark this test runtime"):
        start_child("formats.onnx.convert.saved_model_to_onnx")  # even where one serves already, of another test


def test_what_is_registered_for_old_files_comes_with_the_package():
    """A model that was upgraded loads wherever keras_norms is imported."""
    registering = [path.stem for path in (ROOT / "keras_norms").glob("_*.py") if "register_keras" in path.read_text()]
    nodes = ast.walk(ast.parse((ROOT / "keras_norms/__init__.py").read_text()))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "_hard_sigmoid" in registering
    assert set(registering) <= imported
