"""The errors of the export package: each states what must hold, what was received, and what to do.

`reason_of` takes the one line that a person needs from the exception of a library. `visible` is for every text that
comes from a file or a library on its way to a person.
"""

from __future__ import annotations

import re
from typing import Any


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with every character that is not seen written as its code: `\x1b`, `\n`, `\u202e`.

    A name in a file could otherwise colour or clear a terminal, set its title, forge a line, or turn the order in which
    a line is read: controls, line breaks, directions, characters of no width, and bytes that are not UTF-8.

    Args:
        text: what a person will read.
        keep: characters to leave as they are, such as the line breaks of a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


class _Told:
    """The text of an error, which often names what a file says, in visible characters."""

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n")


class FoldError(_Told, ValueError):
    """A model cannot be folded, or folding it would change what it computes."""


class ExportError(_Told, ValueError):
    """A model, a path or an option from which no artifact can be made."""


class VerificationError(_Told, RuntimeError):
    """An artifact that does not reproduce its model; it has not been written.

    `trace` has every layer's error in it, if a trace was asked for.
    """

    trace: Any = None


_LONGEST = 300
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
# What libraries write around the error of a layer: Keras before it, or between the layer's name and the arguments of
# its call; TensorFlow's AutoGraph before it, the stack.
_BEFORE = re.compile(r".*(?:Error|Exception) encountered(?: during deserialization)?:\s*", re.DOTALL)
_CALLING = re.compile(
    r"\s*Exception encountered when calling (.+?)\.\n(.*?)(?:\nArguments received by .*)?\Z", re.DOTALL
)
_STACK = re.compile(r"\s*in user code:.*\n {4}[\w.]+: ", re.DOTALL)


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, or its class where it says nothing; at most 300 characters.

    What Keras and TensorFlow write around the error of a layer is left out; the layer's name stays in front, where
    Keras gives it.
    """
    where, text = "", _COLOURS.sub("", str(error))
    while True:  # one may stand around the other
        if calling := _CALLING.match(text):
            where, text = f"{calling[1]}: ", calling[2]
        elif before := _BEFORE.match(text):
            text = text[before.end() :]
        else:
            break
    lines = [line.strip() for line in _STACK.sub("", text, count=1).splitlines() if line.strip()]
    return visible(f"{where}{lines[0] if lines else type(error).__name__}")[:_LONGEST]


def kind_and_reason(error: BaseException, kind: str | None = None) -> str:
    """`reason_of` behind the class of the error, as Python writes it.

    `kind` is that class where another process raised the error.
    """
    kind, reason = kind or type(error).__name__, reason_of(error)
    return kind if reason == kind else f"{kind}: {reason}"
