"""Equations of docstrings become LaTeX and MathML, and the pictures of graphs are what `fold` does today."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from docs_site import pictures  # noqa: E402
from docs_site.equations import equations  # noqa: E402


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
    html = markdown.markdown(text, extensions=["docs_site.mathml", "fenced_code"])
    assert html.count("<math") == 3
    assert "<code>print(x)" in html
    assert "&gt;&gt;&gt; f(1)\n2" in html
    assert "blockquote" not in html


def test_the_pictures_are_what_fold_does():
    there = {path.stem: path.read_text(encoding="utf-8") for path in pictures.FOLDER.glob("*.svg")}
    assert there == pictures.drawings(), "run: python -m docs_site pictures"
