"""docs/faq.md: the kinds of faq_kinds.md, each with the words of every refusal whose module it names.

The first kind that names a module has it. A module without a kind is an error, so that a new refusal cannot stay out.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from docs_site import ROOT
from docs_site.refusals import Refusal, collect

PAGE = ROOT / "docs" / "faq.md"
KINDS = Path(__file__).with_name("faq_kinds.md")
_MODULES = re.compile(r"<!-- modules: (.*?) -->\n", re.DOTALL)


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page, from the kinds and the code as they are."""
    sections = re.split(r"^(?=##+ )", KINDS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lists = _by_kind([_patterns(section) for section in sections], collect())
    parts = []
    for section, words in zip(sections, lists, strict=True):
        parts.append(_MODULES.sub("", section).strip())
        if words:
            parts.append("\n".join(f"- {_code(each)}" for each in dict.fromkeys(words)))
    return "\n\n".join(parts) + "\n"


def _patterns(section: str) -> list[str]:
    found = _MODULES.search(section)
    return found[1].split() if found else []


def _by_kind(patterns: list[list[str]], refusals: list[Refusal]) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in patterns]
    for refusal in refusals:
        kinds = [i for i, of_kind in enumerate(patterns) if any(_matches(refusal.module, p) for p in of_kind)]
        if not kinds:
            raise ValueError(f"{refusal.module} says {refusal.words!r}: give it a kind in {KINDS.relative_to(ROOT)}.")
        found[kinds[0]].append(refusal.words)
    return found


def _matches(module: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(module, pattern.replace("**", "*"))


def _code(words: str) -> str:
    text = " ".join(words.split())
    return f"`` {text} ``" if "`" in text else f"`{text}`"
