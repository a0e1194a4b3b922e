"""SIGINT and SIGTERM end the command at any stage, and leave no process, no temporary file and no partial output."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
from hostile_files import looping_file
from keras_norms_cli import signals

pytestmark = pytest.mark.runtime
WRITING = ("artifact.atomic_write", "remove_unfinished")
PATIENCE = 90  # seconds for a stage to be reached


@pytest.fixture
def folder(tmp_path):
    x = keras.Input((4,), name="v")
    keras.Model(x, keras.layers.Dense(3, name="out")(x)).save(tmp_path / "m.keras")
    looping_file(tmp_path / "m.onnx")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def start(folder, *command):
    environment = dict(os.environ, TMPDIR=str(folder / "tmp"), TF_CPP_MIN_LOG_LEVEL="3")
    return subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def environment_of(process):
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has ended meanwhile, or is another user's
        return b""


def processes(folder):
    """The command and its children: all that have the folder's temporary one."""
    mark = f"TMPDIR={folder}".encode()
    return [process.name for process in Path("/proc").glob("[0-9]*") if mark in environment_of(process)]


def end(process, folder, number, within):
    """Send the signal, and see that it ends the process in time and leaves nothing."""
    sent = time.monotonic()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - sent < within
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert out == b""
    assert not processes(folder)
    assert not list((folder / "tmp").iterdir())
    assert sorted(path.name for path in folder.iterdir()) == ["m.keras", "m.onnx", "tmp"]


def wait_for(process, reached):
    until = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the processes where Linux lists them")
def test_a_check_whose_process_runs_an_endless_file_in_another(folder, tmp_path_factory):
    policy = tmp_path_factory.mktemp("policy") / "p.toml"
    policy.write_text(f'[exports.kept]\nformat = "onnx"\nartifact = "{folder / "m.onnx"}"\n')
    process = start(folder, "-m", "keras_norms_cli", "check", "m.keras", "--policy", policy)
    wait_for(process, lambda: len(processes(folder)) > 2)
    time.sleep(1)  # into the loop
    end(process, folder, signal.SIGINT, within=4)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the processes where Linux lists them")
def test_a_verification_that_runs_an_endless_file(folder):
    process = start(folder, "-m", "keras_norms_cli", "verify", "m.keras", "m.onnx")
    wait_for(process, lambda: len(processes(folder)) > 1)
    time.sleep(1)  # into the loop
    end(process, folder, signal.SIGTERM, within=5)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the processes where Linux lists them")
def test_an_export_that_is_being_written(folder):
    process = start(folder, "-m", "keras_norms_cli", "export", "m.keras", "out.tflite")
    wait_for(process, lambda: list(folder.glob(".out.tflite.*/")))
    end(process, folder, signal.SIGINT, within=5)


@pytest.mark.parametrize("loaded", [True, False])
def test_what_is_cleared_up_where_the_code_was_not_left(loaded, monkeypatch):
    done = []
    for name, function in (("worker.client", "kill_children"), ("worker.guarded", "kill_children"), WRITING):
        module = importlib.import_module(f"keras_norms.export.{name}")
        assert callable(getattr(module, function))
        stand_in = SimpleNamespace(**{function: lambda name=name: done.append(name)}) if loaded else None
        monkeypatch.setitem(sys.modules, f"keras_norms.export.{name}", stand_in)
    signals._clear_up()
    assert done == (["worker.client", "worker.guarded", "artifact.atomic_write"] if loaded else [])


PROGRAM = """
import tempfile, time, keras_norms_cli
from keras_norms_cli import commands
def cli(**options):
    tempfile.mkdtemp()
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
commands.cli = cli
keras_norms_cli.main()
"""


def test_a_library_that_catches_everything_does_not_keep_the_command_alive(folder):
    process = start(folder, "-c", PROGRAM)
    assert process.stdout.readline() == b"ready\n"
    end(process, folder, signal.SIGINT, within=5)
