"""Every command that writes a file, at places where it cannot: one line, nothing replaced, nothing lost."""

import os
import re
import stat

import keras
import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli

COMMANDS = {
    "fold": ["fold", "m.keras", "OUT.keras"],
    "upgrade": ["upgrade", "m.keras", "OUT.keras"],
    "export": ["export", "m.keras", "OUT.onnx"],
    "second of two": ["export", "m.keras", "first.tflite", "OUT.onnx"],
    "certificate": ["export", "m.keras", "first.tflite", "--certificate"],
    "demo": ["demo", "--quick", "--out", "DIR"],
}
# What each command writes to.
PLACES = {"fold": "OUT.keras", "upgrade": "OUT.keras", "certificate": "first.tflite.json", "demo": "DIR/demo.json"}


def fifo(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path.name)


def to_fifo(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    x = keras.Input((4,))
    keras.Model(x, keras.layers.Dense(2)(x)).save(path)
    return path


@pytest.fixture
def folder(saved, tmp_path, monkeypatch):
    (tmp_path / "m.keras").write_bytes(saved.read_bytes())
    (tmp_path / "DIR").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listing(folder):
    return {str(path.relative_to(folder)): stat.S_IFMT(path.lstat().st_mode) for path in folder.rglob("*")}


def refused(line):
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip("\n").isprintable()
    assert done.stdout == "" or line[0] == "demo"
    return done.stderr


@pytest.mark.parametrize(("make", "reason"), [(fifo, "FIFO"), (to_fifo, "FIFO"), (loop, "leads to itself")])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_at_the_place_stays(command, make, reason, folder):
    make(folder / PLACES.get(command, "OUT.onnx"))
    before = listing(folder)
    assert reason in refused(COMMANDS[command])
    assert {**listing(folder), "DIR/models": stat.S_IFDIR} == {**before, "DIR/models": stat.S_IFDIR}


@pytest.mark.parametrize("command", ["fold", "upgrade", "export"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"bad\xff", r"must be UTF-8; got .*bad\\udcff"),
        (b"long" * 80, "File name too long"),
        (b"\x1b[31m/out", r"'\\x1b\[31m' does not exist"),
        (b"m.keras/out", "m.keras' does not exist"),
    ],
)
def test_names_that_cannot_be_written(command, name, reason, folder):
    before, line = listing(folder), COMMANDS[command]
    text = refused([*line[:-1], os.fsdecode(name) + line[-1][3:]])
    assert re.search(reason, text), text
    assert listing(folder) == before


@pytest.mark.parametrize("command", ["fold", "export"])
def test_a_working_directory_that_was_deleted(command, folder, saved):
    os.chdir("DIR")
    (folder / "DIR").rmdir()
    line = COMMANDS[command]
    assert "No such file or directory" in refused([line[0], str(saved), line[2]])


def test_a_name_that_begins_with_a_dash(folder):
    done = CliRunner().invoke(cli, ["fold", "--", "m.keras", "-out.keras"])
    assert done.exit_code == 0, done.output
    assert (folder / "-out.keras").is_file()


def test_models_and_inputs_that_are_no_files(folder):
    os.mkfifo("in.keras")
    os.mkfifo("in.npz")
    (folder / "loop.keras").symlink_to("loop.keras")
    for line in (["inspect", "in.keras"], ["inspect", "loop.keras"], ["fold", "loop.keras", "out.keras"]):
        refused(line)
