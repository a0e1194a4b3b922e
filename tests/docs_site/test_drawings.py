"""Equations of docstrings become LaTeX and MathML, and the pictures of graphs are what `fold` does today."""

import inspect
import re
import sys
from pathlib import Path

import pytest

import keras_norms
from keras_norms import callbacks

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from docs_site import pictures, translations  # noqa: E402
from docs_site.equations import equations  # noqa: E402
from docs_site.simple_tables import with_pipes  # noqa: E402


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y = x + 1", [("y = x + 1", "")]),
        ("y = a * (b - c) / sqrt(var_B + epsilon)      training",
         [(r"y = \frac{a \, \left(b - c\right)}{\sqrt{\text{var}_{B} + \epsilon}}", "training")]),
        ("a = b - (c - d)    b = c", [(r"a = b - \left(c - d\right)", ""), ("b = c", "")]),
        ("moving_mean     <- moving_mean + x", [(r"\text{moving mean} \leftarrow \text{moving mean} + x", "")]),
        ("r = clip(sigma_B, 1 / r_max)", [(r"r = \text{clip}\left(\sigma_{B}, \frac{1}{r_{\text{max}}}\right)", "")]),
        ("k' = k", [("k' = k", "")]),
        ("v = sum(x ** 2) / n", [(r"v = \frac{\text{sum}\left(x^{2}\right)}{n}", "")]),
        ("mean off = (mean of the data) / 2", None),
        ("batch norm -> affine    gamma' = gamma / s_c", None),
        ("model = keras.Sequential([a])", None),
    ],
)  # fmt: skip
def test_equations(text, expected):
    found = equations(text)
    assert (None if found is None else [tuple(each) for each in found]) == expected


def test_docstrings_and_fences_become_mathml():
    pytest.importorskip("latex2mathml")
    markdown = pytest.importorskip("markdown")
    text = (
        "It is\n\n    y = gamma * x\n\nor\n\n```math\nx^2\n```\n\nwith $`\\mu`$, not\n\n    print(x)\n\n>>> f(1)\n2\n"
    )
    html = markdown.markdown(text, extensions=["docs_site.markdown_forms", "fenced_code"])
    assert html.count("<math") == 3
    assert "<code>print(x)" in html
    assert "&gt;&gt;&gt; f(1)\n2" in html
    assert "blockquote" not in html


def test_parts_of_docstrings_stand_out():
    pytest.importorskip("latex2mathml")
    markdown = pytest.importorskip("markdown")
    html = markdown.markdown(
        "inputs: A tensor.\nmask: What counts:\n    all of it.\n", extensions=["docs_site.markdown_forms"]
    )
    assert html.count("<li>") == 2
    assert "<code>mask</code>: What counts:" in html
    html = markdown.markdown("Export: as it is.\n\nso: not a list\n", extensions=["docs_site.markdown_forms"])
    assert "<strong>Export</strong>: as it is." in html
    assert "<li>" not in html


def test_simple_tables_get_pipes():
    text = "so\n\n==== =====\n`to` is\n==== =====\na    one\n     more\nb    a | b\n==== =====\n\nthen"
    rows = ["| `to` | is |", "|---|---|", "| a | one more |", r"| b | a \| b |"]
    assert with_pipes(text) == "so\n\n\n" + "\n".join(rows) + "\n\n\nthen"


def public_docstrings():
    names = [getattr(keras_norms, name) for name in keras_norms.__all__]
    return [inspect.getdoc(value) for value in (*names, callbacks.Recalibrate, callbacks.RenormMonitor)]


def test_every_equation_of_a_public_docstring_can_be_drawn():
    heads = [re.split("(?:Args|Attributes):", text)[0] for text in public_docstrings()]
    blocks = [block for head in heads for block in re.findall(r"(?:^ {4}\S.*\n)+", head, re.MULTILINE)]
    assert len(blocks) > 10
    assert not [block for block in blocks if equations(block) is None]


def test_the_pictures_are_what_fold_does():
    there = {path.stem: path.read_text(encoding="utf-8") for path in pictures.FOLDER.glob("*.svg")}
    assert there == pictures.drawings(), "run: python -m docs_site write"


def test_the_translations_are_those_of_the_code():
    page = translations.PAGE.read_text(encoding="utf-8")
    assert page == translations.page(), "run: python -m docs_site write"
    assert "| hard_sigmoid | Keras 1, 2 |" in page
