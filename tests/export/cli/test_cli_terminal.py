"""Where output goes: a terminal, a pipe, a library that prints."""

import io
import os
import pty
import signal
import subprocess
import sys

import pytest
from cli_models import build
from keras_norms_cli.session import session
from keras_norms_cli.terminal import Terminal

ROWS = [["[norm]", "1.5"], ["b", "20"]]


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_table_in_a_pipe_is_aligned_plain_text():
    out = io.StringIO()
    Terminal(out, io.StringIO()).table("Title", ["name", "value"], ROWS)
    assert out.getvalue() == "Title\n  name    value\n  [norm]    1.5\n  b          20\n"


def test_a_table_on_a_terminal_has_rules_and_keeps_brackets(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Screen()
    Terminal(out, io.StringIO()).table("Title", ["name", "value"], ROWS)
    assert "───" in out.getvalue()
    assert "[norm]" in out.getvalue()


@pytest.mark.runtime
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_command_that_is_ended_clears_up(name, tmp_path):
    program = (
        "import os, signal, tempfile, keras_norms_cli\n"
        "from keras_norms_cli import commands\n"
        "def cli():\n"
        f"    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "commands.cli = cli\n"
        "keras_norms_cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == 128 + getattr(signal, name)
    assert not list(tmp_path.iterdir())


def test_long_lines_are_not_wrapped_in_a_pipe():
    out = io.StringIO()
    Terminal(out, io.StringIO()).line("word " * 100)
    assert out.getvalue().count("\n") == 1


def test_progress_is_for_terminals_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    quiet, screen = io.StringIO(), Screen()
    for err in (quiet, screen):
        with Terminal(io.StringIO(), err).status("training [a]") as update:
            update("exporting [b]")
    assert quiet.getvalue() == ""
    assert "[b]" in screen.getvalue()


def test_json_has_no_infinity():
    out = io.StringIO()
    Terminal(out, io.StringIO()).json({"sqnr_db": float("inf"), "list": [float("nan"), 1.5]})
    assert "Infinity" not in out.getvalue()
    assert out.getvalue().count("null") == 2


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_session_keeps_libraries_off_the_streams(capfd, stream):
    with session(False) as terminal:
        print("from Python", file=getattr(sys, stream))
        os.write(1 if stream == "stdout" else 2, b"from native code\n")
        terminal.line("for the user")
    captured = capfd.readouterr()
    assert captured.out == "for the user\n"
    assert captured.err == ""
    print("after", file=getattr(sys, stream))
    assert getattr(capfd.readouterr(), "out" if stream == "stdout" else "err") == "after\n"


def test_traceback_lets_libraries_speak(capfd):
    with session(True):
        os.write(2, b"from native code\n")
    assert capfd.readouterr().err == "from native code\n"


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [(">&-", 0, ""), ("2>&-", 0, ""), (">/dev/full", 1, "Error: OSError: [Errno 28] No space left on device")],
)
def test_streams_that_are_closed_or_full(tmp_path, redirection, code, error):
    build().save(tmp_path / "model.keras")
    command = f"{sys.executable} -m keras_norms_cli inspect model.keras {redirection}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.startswith(error)
    assert "Traceback" not in done.stderr


@pytest.mark.runtime
def test_on_a_terminal_the_command_shows_progress_and_tables(tmp_path):
    build().save(tmp_path / "model.keras")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "keras_norms_cli", "inspect", "model.keras"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(os.environ, TERM="xterm")
    )
    os.close(theirs)
    seen = b"".join(_chunks(ours))
    assert process.wait() == 0
    text = seen.decode()
    assert "reading model.keras" in text
    assert "───" in text
    assert "BatchRenormalization" in text


def _chunks(descriptor):
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # how Linux ends the stream of a closed terminal
            return
        if not chunk:
            return
        yield chunk
