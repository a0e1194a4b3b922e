"""Finds what a page of the site would load from the network: nothing. Links that a reader follows may lead there."""

from __future__ import annotations

import re
from pathlib import Path

# What a browser fetches by itself: the sources of elements, linked style sheets and fonts, and addresses in CSS.
_ADDRESS = r"[\"']?((?:https?:)?//[^\"' >)]+)"
_LOADED = (
    re.compile(rf"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)={_ADDRESS}"),
    re.compile(rf"<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|preload|icon))[^>]*?\bhref={_ADDRESS}"),
    re.compile(rf"(?:@import\s+|url\(){_ADDRESS}"),
)


def external_loads(site: Path) -> list[str]:
    """ "page: address" for each thing that would be loaded from elsewhere."""
    found = []
    for path in sorted(p for p in site.rglob("*") if p.suffix in (".html", ".css", ".svg")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(site)}: {address}" for kind in _LOADED for address in kind.findall(text)]
    return found
