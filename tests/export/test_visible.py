"""Characters that are not seen reach no reader as they are: not on a terminal, in a pipe, in HTML or in JSON."""

import io
import json

import pytest
from click.testing import CliRunner
from keras_norms.export import ExportError, ExportReport, FoldError, FoldReport, VerificationError, VerifyReport
from keras_norms.export.errors import kind_and_reason, reason_of, visible
from keras_norms.export.report import html
from keras_norms.export.report.delegate_report import DelegateReport, Finding, XnnpackReport
from keras_norms.export.report.fold_report import Folded, Kept
from keras_norms.export.report.load_report import LoadReport, Translated
from keras_norms.export.report.strict_json import strict_json
from keras_norms.export.report.unquantized import Unquantized
from keras_norms.export.report.verify_report import Check
from keras_norms_cli import tables
from keras_norms_cli import visible as of_the_command
from keras_norms_cli.commands import cli
from keras_norms_cli.terminal import Terminal

# A character, and how it is written.
HIDDEN = {
    "\x1b": r"\x1b",
    "\x07": r"\x07",
    "\x00": r"\x00",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\x7f": r"\x7f",
    "\x9b": r"\x9b",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
    "\u200b": r"\u200b",
    "\ufeff": r"\ufeff",
    "\u2028": r"\u2028",
    "\x85": r"\x85",
    "\udcff": r"\udcff",
    "\U000e0041": r"\U000e0041",
}
EVIL = "".join(HIDDEN)
SEEN = "".join(HIDDEN.values())


def is_clean(text, lines=None):
    rest = text if lines is None else "".join(text.split("\n"))
    return rest.isprintable() and SEEN in text and (lines is None or text.rstrip("\n").count("\n") == lines - 1)


@pytest.mark.parametrize("function", [visible, of_the_command.visible])
def test_every_hidden_character_is_written_as_its_code(function):
    for character, code in HIDDEN.items():
        assert function(f"a{character}b") == f"a{code}b"
    assert function("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert function("Größe 層 naïve 'x' \\ 🙂") == "Größe 層 naïve 'x' \\ 🙂"


def test_the_command_escapes_as_the_package_does():
    every = "".join(map(chr, range(0x3100)))
    assert visible(every) == of_the_command.visible(every)


@pytest.mark.parametrize("kind", [ExportError, FoldError, VerificationError])
def test_errors_are_visible_and_may_have_several_lines(kind):
    assert str(kind("layer 'a\x1b[31m'\nmore")) == "layer 'a\\x1b[31m'\nmore"
    assert not str(kind())


def test_reasons_of_libraries_are_one_visible_line():
    assert reason_of(ValueError("bad \x1b]0;title\x07 name\nsecond")) == r"bad \x1b]0;title\x07 name"
    assert kind_and_reason(ValueError("\u202e")) == r"ValueError: \u202e"


def verify_report():
    check = Check(EVIL, EVIL, EVIL, 0.0, 1.0, 1.0, 0.0, 1e-4, None, False)
    return VerifyReport(EVIL, 1e-4, (check,), (EVIL,), first_divergence=EVIL, metadata={EVIL: EVIL})


def fold_report():
    return FoldReport(
        model=EVIL, folded=[Folded(EVIL, (EVIL,), EVIL, None)], kept=[Kept(EVIL, EVIL)], tails=[], notes=[EVIL]
    )


FINDING = Finding("kind", EVIL, EVIL, EVIL, EVIL)
XNNPACK = XnnpackReport({"CONV_2D": 1}, {EVIL: 1}, ((EVIL, EVIL),), 1)
REPORTS = {
    "verify": (verify_report, 5),
    "fold": (fold_report, 11),
    "lint": (lambda: DelegateReport(EVIL, XNNPACK, (FINDING,), {EVIL: 0.1}, EVIL), 6),
    "load": (lambda: LoadReport(EVIL, EVIL, [Translated(EVIL, EVIL, EVIL, EVIL)], EVIL, None, None), 6),
    "export": (
        lambda: ExportReport(
            *(EVIL, EVIL, 1, {EVIL: 1}, fold_report(), verify_report(), (EVIL,), EVIL, XNNPACK),
            in_float=(Unquantized(EVIL, EVIL, 1, EVIL),),
        ),
        12,
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_print_names_visibly_and_no_line_is_forged(name):
    make, lines = REPORTS[name]
    assert is_clean(str(make()), lines)


def shown(*calls):
    out = io.StringIO()
    terminal = Terminal(out, io.StringIO())
    for call in calls:
        call(terminal)
    return out.getvalue()


@pytest.mark.parametrize("name", ["verify", "fold", "lint"])
def test_tables_of_the_command_are_clean(name):
    report = REPORTS[name][0]()
    text = shown(lambda terminal: getattr(tables, name)(terminal, report))
    assert "".join(text.split("\n")).isprintable()
    assert SEEN in text


def test_every_way_to_show_something_is_clean(monkeypatch):
    assert shown(lambda t: t.line(EVIL)) == f"{SEEN}\n"
    assert shown(lambda t: t.table(EVIL, [EVIL], [[EVIL]])) == f"{SEEN}\n  {SEEN}\n  {SEEN}\n"
    monkeypatch.setenv("TERM", "xterm")

    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    with Terminal(io.StringIO(), screen).status(EVIL) as update:
        update(EVIL)
    assert "\x07" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()


def test_json_is_visible_ascii_and_still_says_the_same():
    text = strict_json({EVIL: [EVIL]})
    assert text.isascii()
    assert "".join(text.split("\n")).isprintable()
    assert json.loads(text) == {EVIL: [EVIL]}
    printed = shown(lambda t: t.json({EVIL: EVIL}))
    assert json.loads(printed) == {EVIL: EVIL}


def test_html_is_clean():
    parts = [html.note(EVIL), html.table(EVIL, [EVIL], [[EVIL]]), html.folded_away(EVIL)]
    page = html.page(EVIL, EVIL, [html.section(EVIL, EVIL, *parts)])
    assert "".join(page.split("\n")).isprintable()
    assert page.count(SEEN) == 11


def test_errors_on_the_command_line_are_clean():
    for line in (["inspect", f"{EVIL}.keras"], ["frobnicate\x1b"], ["export", "m.keras", f"{EVIL}.pb"]):
        done = CliRunner().invoke(cli, [part.replace("\x00", "") for part in line])
        assert done.exit_code in (1, 2)
        assert "\x1b" not in done.output
        assert "\\x1b" in done.output
