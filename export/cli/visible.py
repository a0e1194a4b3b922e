"""What a person reads, in characters that are seen."""

from __future__ import annotations


def visible(text: str, *, keep: str = "") -> str:
    """`keras_norms.export.errors.visible`, which explains it; written here too, since importing that imports Keras.

    A test compares the two.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
