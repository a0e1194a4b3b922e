"""Gathers the pages of the site in .site/: docs/ as it is, and files from elsewhere in the repository, links mended.

Pages in docs/ link to other files of the repository as its reader would, `../benchmarks/README.md`. On the site such a
file is a page (`PAGES`), an entry of the page of examples, or not there: then the link becomes its text.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shutil
from pathlib import Path

from docs_site import ROOT

STAGE = ROOT / ".site"
# Files outside of docs/ that are pages of the site, by the name of the page.
PAGES = {
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/evidence.md": "evidence.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
}
# No page of its own: the site begins with docs/index.md.
_LINKED_ONLY = {"README.md"}
_PICTURES = (".png", ".svg")
# Code, in which nothing is a link, or a link.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```$|(?P<ticks>`+)[^`].*?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<image>!?)\[(?P<label>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)",
    re.MULTILINE | re.DOTALL,
)


def stage() -> None:
    """Make .site/ anew: the pages, and the packages as the reader of docstrings wants to find them."""
    shutil.rmtree(STAGE, ignore_errors=True)
    pages = STAGE / "pages"
    for path in sorted(p for p in (ROOT / "docs").rglob("*") if p.is_file()):
        _put(path, pages / path.relative_to(ROOT / "docs"))
    for name, page in PAGES.items():
        if name not in _LINKED_ONLY:
            _put(ROOT / name, pages / page)
    for picture in (ROOT / "benchmarks").glob("*.png"):
        shutil.copyfile(picture, pages / picture.name)
    (pages / "examples.md").write_text(examples_page(), encoding="utf-8")
    _link_packages(STAGE / "python")


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".md":
        shutil.copyfile(source, target)
        return
    text = source.read_text(encoding="utf-8")
    place = target.relative_to(STAGE / "pages").as_posix()
    target.write_text(mend_links(text, source.relative_to(ROOT).as_posix(), place), encoding="utf-8")


def _link_packages(folder: Path) -> None:
    """The package as it is installed: export/ is its part `keras_norms.export`, which an editable install hides."""
    package = folder / "keras_norms"
    package.mkdir(parents=True)
    for path in (ROOT / "keras_norms").glob("*.py"):
        (package / path.name).symlink_to(path)
    (package / "export").symlink_to(ROOT / "export")


def mend_links(text: str, source: str, page: str) -> str:
    """The text of the file `source`, as the page `page` of the site has it; both are names from the root."""
    return _CODE_OR_LINK.sub(lambda found: _mended(found, source, page), text)


def _mended(found: re.Match[str], source: str, page: str) -> str:
    image, label, target = found["image"], found["label"], found["target"]
    if target is None or re.match(r"[a-z]+:|#", target):
        return found[0]
    path, _, anchor = target.partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    there = page_of(file)
    if there is None:
        return label if not image else found[0]
    where, own_anchor = there
    anchor = anchor or own_anchor
    relative = posixpath.relpath(where, posixpath.dirname(page) or ".")
    return f"{image}[{label}]({relative}{'#' if anchor else ''}{anchor})"


def page_of(file: str) -> tuple[str, str] | None:
    """The page and the anchor at which the site has a file of the repository; None if it has not."""
    if file in PAGES:
        return PAGES[file], ""
    if file.startswith("docs/"):
        return file.removeprefix("docs/"), ""
    if file.startswith("benchmarks/") and file.endswith(_PICTURES):
        return file.removeprefix("benchmarks/"), ""
    if file == "examples":
        return "examples.md", ""
    if file.startswith("examples/") and file.endswith(".py"):
        return "examples.md", posixpath.basename(file).removesuffix(".py").replace("_", "-")
    return None


def examples_page() -> str:
    """Every script of examples/ in full, under its first sentence."""
    parts = ["# Examples\n\nScripts to copy. Each runs as it stands: `python NAME.py`.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        sentence = (ast.get_docstring(ast.parse(code)) or "").splitlines()[0]
        title = path.stem.replace("_", " ").capitalize()
        parts.append(
            f'## {title} {{#{path.stem.replace("_", "-")}}}\n\n{sentence}\n\n```python title="{path.name}"\n{code}```\n'
        )
    return "\n".join(parts)
