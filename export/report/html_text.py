"""Text as HTML shows it."""

from __future__ import annotations

import html

from ..errors import visible


def escape(text: str) -> str:
    """The text without markup and without characters that are not seen: no name can forge what stands there."""
    return html.escape(visible(text))
