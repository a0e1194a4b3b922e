"""The pages of docs/: links and anchors lead somewhere, figures are those of the benchmarks, code runs."""

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import keras
import pytest
from keras_norms_cli.commands import cli

import keras_norms
from keras_norms import callbacks, export

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from docs_site import offline, staging  # noqa: E402

PAGES = sorted((ROOT / "docs").rglob("*.md"))
NAMES = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES]
LINK = re.compile(r"(?<![!\\])\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(
    r"(<!-- not run: .* -->\n)?^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)
# Their code converts models, which starts a process.
CONVERTING = ("start.md", "phone.md", "server.md", "quantization.md")


def prose(path):
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def slug(heading):
    """The anchor that code hosts give a heading."""
    explicit = re.search(r"\{#([\w-]+)\}\s*$", heading)
    if explicit:
        return explicit[1]
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def sections(path):
    """{anchor: the text up to the next heading of the same or a higher level}"""
    text = path.read_text(encoding="utf-8")
    heads = list(re.finditer(r"^(#+) (.*)$", FENCE.sub(lambda f: " " * len(f[0]), text), re.MULTILINE))
    found = {}
    for i, head in enumerate(heads):
        later = (h.start() for h in heads[i + 1 :] if len(h[1]) <= len(head[1]))
        found.setdefault(slug(head[2]), text[head.start() : next(later, len(text))])
    return found


def wrong_links(path):
    wrong = []
    for target in [*(t for _, t in LINK.findall(prose(path))), *PICTURE.findall(prose(path))]:
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in sections(file)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_and_anchors_lead_somewhere(path):
    assert not wrong_links(path)


def test_a_wrong_link_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# Head\n\n## A `part`: of it\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-part-of-it) [b](there.md#gone) [c](gone.md) ![d](gone.svg)\n```\n[e](code.md)\n```\n"
    )
    assert wrong_links(page) == ["there.md#gone", "gone.md", "gone.svg"]


def figures(path):
    """The links to figures whose label has a number that the section they lead to has not."""
    wrong = []
    for label, target in LINK.findall(prose(path)):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve()
        if file.parent.name == "benchmarks" and anchor and file.is_file():
            told = set(numbers(sections(file).get(anchor, "")))
            wrong += [f"{label}: {number}" for number in numbers(label) if number not in told]
    return wrong


def numbers(text):
    return re.findall(r"(?<![\w.])\d*\.?\d+(?:e-?\d+)?(?![\w]|\.\d)", text.replace(",", ""))


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_figures_are_those_of_the_benchmarks(path):
    assert not figures(path), "the benchmarks have other figures now: take those"


def test_a_wrong_figure_is_found(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "README.md").write_text("# B\n\n## Speed\n\n| 10.1 | 5e-4 |\n\n## Other\n\n9.7\n")
    page = tmp_path / "page.md"
    page.write_text("[10.1 ms](benchmarks/README.md#speed) [9.7, 5e-4](benchmarks/README.md#speed)")
    assert figures(page) == ["9.7, 5e-4: 9.7"]


def test_the_page_of_choice_has_no_figure_without_a_link():
    """Beside the sizes that the rows are about."""
    text = LINK.sub("", prose(ROOT / "docs" / "which-norm.md"))
    assert not re.findall(r"\d[\d.]* (?:%|dB|ms|KB)", text)


def blocks(path):
    """(code, the output that the page shows of it) of what runs."""
    return [(code, shown) for skipped, code, shown in CODE.findall(path.read_text(encoding="utf-8")) if not skipped]


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_code_compiles(path):
    for _, code, _ in CODE.findall(path.read_text(encoding="utf-8")):
        compile(code, path.name, "exec")


def without_figures(text):
    """What stays from one machine to the next: figures differ in their last digits, tables in their width."""
    text = re.sub(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", "#", text)
    return [re.sub(r"-{2,}", "-", re.sub(r" +", " ", line)).strip() for line in text.strip().splitlines()]


def run(path):
    """The blocks of a page, as one program; what the page shows of their output must be it."""
    keras.backend.clear_session()
    names, said = {}, ""
    for code, shown in blocks(path):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, path.name, "exec"), names)
        said += out.getvalue()
        assert not shown or without_figures(out.getvalue()) == without_figures(shown)
    return said


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p) and p.name not in CONVERTING], ids=lambda p: p.name)
def test_code_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(path)


@pytest.mark.runtime
@pytest.mark.parametrize("name", CONVERTING)
def test_code_that_converts_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = run(ROOT / "docs" / name)
    if name == "start.md":
        assert out.endswith("True\n")
        assert {"digits.keras", "digits.tflite", "digits.tflite.json", "digits.onnx"} <= {
            p.name for p in tmp_path.iterdir()
        }


COMMANDS = [
    (path.name, line)
    for path in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("keras-norms ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line[:50]}" for page, line in COMMANDS])
def test_the_commands_shown_are_taken(page, line):
    _, name, *arguments = shlex.split(line, comments=True)
    cli.get_command(None, name).make_context(name, arguments)


def test_every_public_name_has_its_docstring_on_a_page():
    shown = {
        name
        for path in (ROOT / "docs" / "api").glob("*.md")
        for name in re.findall("^::: (.+)$", path.read_text(), re.M)
    }
    expected = {f"keras_norms.{name}" for name in keras_norms.__all__}
    expected |= {f"keras_norms.export.{name}" for name in export.__all__}
    expected |= {
        f"keras_norms.callbacks.{name}" for name in vars(callbacks) if name in ("Recalibrate", "RenormMonitor")
    }
    assert shown == expected


def test_the_navigation_names_pages_that_are_there():
    text = (ROOT / "mkdocs.yml").read_text()
    pages = set(re.findall(r"- ([\w/-]+\.md)$", text[text.index("nav:") :], re.MULTILINE))
    made = {"examples.md", *staging.PAGES.values()}
    assert pages <= set(NAMES) | made
    assert made <= pages


def test_pages_from_elsewhere_link_within_the_site():
    text = "[a](evidence.md#batches) [b](../docs/coverage.md) ![c](evidence.png) [d](../export/api.py) `[e](x)`\n"
    text += "```\n[f](y)\n```\n``a ` [g](z)`` [`code`](evidence.md) [over\ntwo lines](evidence.md#batches)"
    assert staging.mend_links(text, "benchmarks/README.md", "benchmarks.md") == (
        "[a](evidence.md#batches) [b](coverage.md) ![c](evidence.png) d `[e](x)`\n"
        "```\n[f](y)\n```\n``a ` [g](z)`` [`code`](evidence.md) [over\ntwo lines](evidence.md#batches)"
    )
    text = "[a](../../benchmarks/README.md#exports) [b](../faq.md) [c](../../examples/load_a_saved_model.py) [d](https://x.y)"
    assert staging.mend_links(text, "docs/api/export.md", "api/export.md") == (
        "[a](../benchmarks.md#exports) [b](../faq.md) [c](../examples.md#load-a-saved-model) [d](https://x.y)"
    )


def test_what_a_page_would_load_from_elsewhere_is_found(tmp_path):
    page = (
        '<a href="https://a.b"></a><script async src="https://c.d/e.js"></script><link rel=stylesheet href=//f.g/h.css>'
    )
    (tmp_path / "a.html").write_text(f"{page}<img src=here.png><link rel=canonical href=https://i.j>")
    (tmp_path / "b.css").write_text("@font-face { src: url(https://k.l/m.woff) } p { background: url(here.png) }")
    found = offline.external_loads(tmp_path)
    assert found == ["a.html: https://c.d/e.js", "a.html: //f.g/h.css", "b.css: https://k.l/m.woff"]
