"""docs/faq.md has the words of every refusal: of those in the code, and of those that a record of exports has seen."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from docs_site import faq, refusals  # noqa: E402

PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
ITEMS = [item.strip("` ") for item in re.findall(r"^- (`.*`)$", PAGE, re.MULTILINE)]


def pattern(words):
    return re.compile(".*?".join(map(re.escape, words.split(refusals.GAP))), re.DOTALL)


PATTERNS = [pattern(item) for item in ITEMS]


def test_the_page_is_what_the_code_and_the_kinds_give():
    assert faq.page() == PAGE, "run: python -m docs_site write"


def test_every_refusal_that_was_recorded_is_found_by_its_words():
    """11,000 exports of every layer and operation, whose words were read by no one who knows this collector."""
    rows = json.loads((ROOT / "benchmarks" / "coverage.json").read_text())["rows"]
    said = {cell["words"] for row in rows for cell in row["cells"].values() if cell.get("words")}
    assert len(said) > 100
    assert not [words for words in said if not any(found.search(words) for found in PATTERNS)]


@pytest.mark.parametrize(
    "words",
    [
        "`momentum` has to be between 0 and 1. Received: momentum=2. 0.99 is usual.",
        "The number of channels has to be a multiple of `groups`. Received: 6 channels (axis -1 of input shape (2, 6)) "
        "and groups=4. Use a divisor of 6, or -1 for one channel in each group.",
        "TFLite needs a fixed batch for a loop that keeps all of its results (lstm). Pass batch_size=1, or the batch "
        "size you will run.",
        "'a.tflite' was not written: the TFLite file does not reproduce its model. Output 'y' differs",
        "pads its input with zeros (padding='same'), which the norm would have shifted",
        "takes a maximum, and the norm's gamma is negative in some channel",
        "--calibration goes with --quantize int8 only.",
    ],
)
def test_words_that_a_user_gets_are_found(words):
    assert any(found.search(words) for found in PATTERNS)


def test_the_reasons_on_the_page_of_folding_are_given_in_these_words():
    page = (ROOT / "docs" / "folding.md").read_text(encoding="utf-8")
    quoted = [q for row in re.findall(r'^\| ("[^|]*) \|', page, re.MULTILINE) for q in re.findall(r'"([^"]+)"', row)]
    assert len(quoted) > 10
    found = [
        q for q in quoted if any(q in item for item in ITEMS) or any(p.search(q.replace("…", "x")) for p in PATTERNS)
    ]
    assert found == quoted


def test_no_kind_is_empty_words():
    """An item of gaps alone would be found in everything."""
    assert all(len(item.replace(refusals.GAP, "").strip(" '.:,()")) > 8 for item in ITEMS)


SOURCE = """
class Skip: ...
_WORDS = "the model {name} has no weights"

def why(x):
    if x:
        return f"layer {x} is odd, so there"
    return None

def check(x, y):
    if (reason := why(x)) is not None:
        raise ExportError(reason)
    message = "first half of it, " + f"then {y}"
    if y:
        raise FoldError(message)
    return Skip(_WORDS.format(name=y))
"""


def test_words_are_collected_from_every_form(tmp_path, monkeypatch):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "a.py").write_text(SOURCE)
    monkeypatch.setattr(refusals, "ROOT", tmp_path)
    assert {refusal.words for refusal in refusals.collect()} == {
        "layer … is odd, so there",
        "first half of it, then …",
        "the model … has no weights",
    }


def test_a_module_without_a_kind_is_an_error(monkeypatch):
    monkeypatch.setattr(faq, "collect", lambda: [refusals.Refusal("elsewhere/new.py", "a new refusal")])
    with pytest.raises(ValueError, match="elsewhere/new.py says .* give it a kind in docs_site/faq_kinds.md"):
        faq.page()
