"""A Markdown extension for what docstrings and pages hold beside Markdown.

- ```` ```math ```` and $`...`$: LaTeX, which code hosts draw too, becomes MathML as the page is made, so that no page
  loads a script or a font for it; so does an indented block of plain equations.
- Examples with `>>>` become code, and simple tables of reStructuredText become tables.
- The names of a docstring's parts stand out, and a part of names with their meanings becomes a list.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor

from docs_site.equations import Equation, equations
from docs_site.simple_tables import with_pipes

_FENCE = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n\1\S.*|\n\1 +\S.*)*$", re.MULTILINE)
_PARTS = "Input shape|Output shape|Precision|Gradient accumulation|Export|Reference|Source|Example"
_PART = re.compile(rf"^({_PARTS}):(?= |\n|$)", re.MULTILINE)
_MEANING = re.compile(r"([a-z]\w*): \S.*(?:\n +\S.*)*")
_INLINE = re.compile(r"\$`([^`]+)`\$")


def mathml(latex: str, display: str = "block") -> str:
    """LaTeX as a MathML element."""
    found: str = convert(latex.strip(), display=display)
    return found


class _Text(Preprocessor):
    """What can be told from the text alone."""

    def run(self, lines: list[str]) -> list[str]:
        text = _FENCE.sub(lambda found: f"\n{self._kept(mathml(found[1]))}\n", "\n".join(lines))
        text = _EXAMPLE.sub(lambda found: f"\n{found[1]}```pycon\n{found[0]}\n{found[1]}```\n", text)
        text = _INLINE.sub(lambda found: self._kept(mathml(found[1], "inline")), text)
        text = _PART.sub(r"**\1**:", _with_bullets(with_pipes(text)))
        return text.split("\n")

    def _kept(self, html: str) -> str:
        kept: str = self.md.htmlStash.store(html)
        return kept


def _with_bullets(text: str) -> str:
    """A text that is nothing but names and their meanings, as a list."""
    whole = re.fullmatch(rf"(?:{_MEANING.pattern}\n*)+", text)
    return _MEANING.sub(lambda found: f"- `{found[1]}`{found[0][len(found[1]) :]}", text) if whole else text


class _PlainEquations(Treeprocessor):
    """Indented blocks in which every line is an equation. It runs before the blocks are coloured as code."""

    def run(self, root: Element) -> None:
        for parent in list(root.iter()):
            for i, block in enumerate(list(parent)):
                if block.tag == "pre" and len(block) == 1 and block[0].tag == "code":
                    found = equations(unescape(block[0].text or ""))
                    if found is not None:
                        parent[i] = self._drawn(found, block.tail)

    def _drawn(self, found: list[Equation], tail: str | None) -> Element:
        rows = "".join(f"<tr><td>{mathml(each.latex)}</td><td>{escape(each.words)}</td></tr>" for each in found)
        block = Element("div")
        block.text = self.md.htmlStash.store(f'<table class="equations">{rows}</table>')
        block.tail = tail
        return block


class Forms(Extension):
    """Registers them."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  (Markdown's name)
        md.preprocessors.register(_Text(md), "forms", 29)  # before fenced code, at 25
        md.treeprocessors.register(_PlainEquations(md), "plain equations", 31)  # before highlighting, at 30


def makeExtension(**options: Any) -> Forms:  # noqa: N802
    return Forms(**options)
