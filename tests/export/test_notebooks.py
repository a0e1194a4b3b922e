"""The notebooks run from beginning to end, and what they print is what stands in them."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def printed(notebook):
    """What the cells print, without figures, which differ from processor to processor."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    text = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    return re.sub(r"[-\s]+", " ", re.sub(r"\d[\d.,e-]*", "#", text))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_it_ran(path):
    notebook = read(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), "a path of the writer's"


@pytest.mark.runtime
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    # Statistics of two rows take TensorFlow four times as long in two threads, which mostly wait for each other.
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    stored = printed(notebook := read(path))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(notebook) == stored


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path):
    for cell in read(path).cells:
        for target in re.findall(r"\]\(([^)#]+)", cell.source) if cell.cell_type == "markdown" else ():
            assert (path.parent / target).is_file(), target
