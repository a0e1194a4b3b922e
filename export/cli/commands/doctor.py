"""`keras-norms doctor`: what is installed, and whether it works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..session import session
from ..terminal import Terminal
from .common_options import json_option, traceback_option

if TYPE_CHECKING:
    from ..doctor.examination import Examination

_MARKS = {"ok": "ok", "missing": "missing", "too old": "TOO OLD"}


@click.command(short_help="Say what is installed, and whether it works.")
@json_option
@traceback_option
def doctor(as_json: bool, show_traceback: bool) -> None:
    """Say which packages are installed, what each is for, and whether its version is supported.

    Each runtime is started in a process of its own. Ends with 1 if something that is installed is too old or does not
    work; what is missing is named with the command that installs it.
    """
    from ..doctor.examination import examine
    from ..doctor.start_runtimes import start_all

    with session(show_traceback, libraries=False) as terminal:
        with terminal.status("starting each runtime"):
            found = examine(start_all())
        if as_json:
            terminal.lines(json.dumps(found.to_dict(), indent=2).split("\n"))
        else:
            _show(terminal, found)
        if not found.ok:
            raise click.exceptions.Exit(1)


def _show(terminal: Terminal, found: Examination) -> None:
    python = "which is supported" if found.python_ok else "WHICH IS NOT SUPPORTED"
    terminal.line(f"keras-norms {found.version} on Python {found.python}, {python} ({found.pythons})")
    terminal.line()
    rows = [
        [
            _MARKS[part.state],
            part.package,
            part.version or "-",
            f">={part.oldest}" if part.oldest else "any",
            part.purpose,
        ]
        for part in found.parts
    ]
    terminal.table("Packages", ["", "package", "version", "needs", "what it is for"], rows)
    remedies = dict.fromkeys(part.remedy for part in found.parts if part.remedy)
    for remedy in remedies:
        names = [part.package for part in found.parts if part.remedy == remedy]
        terminal.line(f"  {', '.join(names)}: {remedy}")
    terminal.line()
    started = [
        [
            "FAILED" if each.problem else "skipped" if each.skipped else "ok",
            each.name,
            each.problem or (f"{each.skipped} is not installed" if each.skipped else f"{each.seconds:.1f} s"),
        ]
        for each in found.runtimes
    ]
    terminal.table("Runtimes, each started in a process of its own", ["", "runtime", ""], started)
