"""Where output goes: a terminal, a pipe, a library that prints."""

import io
import json
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
        "def cli(**options):\n"
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


# TensorFlow is imported once, which takes seconds. Each command is a fork of that process, whose streams are first made
# what a shell would have made them; a stream that is closed when Python starts is None to it.
FORKS = """
import gc, os, sys
import keras_norms.export
gc.freeze()

def redirected(how):
    for fd, name, redirection in ((1, "stdout", ">&-"), (2, "stderr", "2>&-")):
        if redirection == how:
            os.close(fd)
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
    if how == ">/dev/full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    if how.startswith("/dev/pts/"):
        terminal = os.open(how, os.O_RDWR)
        for fd in range(3):
            os.dup2(terminal, fd)

def forked(how):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(f"stderr_{sys.argv.index(how)}", os.O_WRONLY | os.O_CREAT), 2)
    redirected(how)
    sys.argv[1:] = ["inspect", "model.keras"]
    import keras_norms_cli
    keras_norms_cli.main()

codes = [forked(how) for how in sys.argv[1:]]
print(codes)
"""
REDIRECTIONS = (">&-", "2>&-", ">/dev/full")


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """({redirection: exit code and standard error} of `inspect`, what a terminal shows of it)"""
    folder = tmp_path_factory.mktemp("inspected")
    build().save(folder / "model.keras")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", FORKS, *REDIRECTIONS, os.ttyname(theirs)]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=dict(os.environ, TERM="xterm"), **streams)
    out, err = process.communicate()
    os.close(theirs)
    seen = b"".join(_chunks(ours)).decode()
    assert process.returncode == 0, err
    codes = json.loads(out.splitlines()[-1])  # behind what the command printed
    results = [(code, (folder / f"stderr_{i}").read_text()) for i, code in enumerate(codes, start=1)]
    return dict(zip((*REDIRECTIONS, "terminal"), results, strict=True)), seen


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [(">&-", 0, ""), ("2>&-", 0, ""), (">/dev/full", 1, "Error: OSError: [Errno 28] No space left on device")],
)
def test_streams_that_are_closed_or_full(inspected, redirection, code, error):
    found, stderr = inspected[0][redirection]
    assert found == code, stderr
    assert stderr.startswith(error)
    assert "Traceback" not in stderr


@pytest.mark.runtime
def test_on_a_terminal_the_command_shows_progress_and_tables(inspected):
    results, text = inspected
    assert results["terminal"][0] == 0
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
