"""Where a file may be written: what is no regular file is refused, and whatever fails, all is as it was."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from keras_norms.export import ExportError
from keras_norms.export.artifact.atomic_write import atomic_write, check_writable, remove_unfinished

NAME = "m.tflite"


def fifo(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's whole path must be short
        one.bind(path.name)
        os.chdir(here)


def device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def behind_a_link(make):
    def made(path):
        make(path.with_name("real"))
        path.symlink_to("real")

    return made


def link_to_itself(path):
    path.symlink_to(path.name)


def two_links_in_a_circle(path):
    path.symlink_to("other")
    path.with_name("other").symlink_to(path.name)


# What lies where the file should, and what the refusal says.
IN_THE_WAY = {
    "FIFO": (fifo, "it is a FIFO, not a regular file"),
    "socket": (listening, "it is a socket, not a regular file"),
    "device": (device, "it is a device, not a regular file"),
    "directory": (Path.mkdir, "is a directory"),
    "link to a FIFO": (behind_a_link(fifo), "it is a FIFO, not a regular file"),
    "link to a device": (behind_a_link(device), "it is a device, not a regular file"),
    "link to a directory": (behind_a_link(Path.mkdir), "is a directory"),
    "link to itself": (link_to_itself, "a link that leads to itself"),
    "links in a circle": (two_links_in_a_circle, "a link that leads to itself"),
    "link into nowhere": (lambda path: path.symlink_to("nowhere/m.tflite"), "nowhere' does not exist"),
}


def listing(folder):
    return {str(path.relative_to(folder)): path.lstat()[:7] for path in folder.rglob("*")}


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_regular_file_is_refused_and_stays(kind, tmp_path):
    make, reason = IN_THE_WAY[kind]
    make(tmp_path / NAME)
    before = listing(tmp_path)
    for refuse in (check_writable, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(ExportError, match=reason) as told:
            refuse(tmp_path / NAME)
        assert str(told.value).count(NAME) <= 2
    assert listing(tmp_path) == before


NAMES = {
    "too long": (b"m" * 300 + b".tflite", "File name too long"),
    "not UTF-8": (b"m\xff.tflite", r"must be UTF-8; got .*m\\udcff.tflite"),
    "a zero": (b"m\0.tflite", r"m\\x00.tflite"),
    "in a file": (b"file/m.tflite", "file' does not exist"),
    "in a folder too long": (b"d" * 300 + b"/m.tflite", "File name too long"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_that_no_file_can_have_are_refused_in_one_line(kind, tmp_path):
    name, reason = NAMES[kind]
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=reason) as told:
        check_writable(tmp_path / os.fsdecode(name))
    assert str(told.value).isprintable()
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["-m.tflite", "m" * 248 + ".tflite", "ü" * 120 + ".tflite", "m\n.tflite", " .tflite"])
def test_unusual_names_are_written(name, tmp_path):
    with atomic_write(tmp_path / name) as partial:
        partial.write_text("new")
    assert names(tmp_path) == [name]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_text("old")
    (tmp_path / "link").symlink_to("there/real")
    (tmp_path / NAME).symlink_to("link")
    with atomic_write(tmp_path / NAME) as partial:
        partial.write_text("new")
    assert (tmp_path / NAME).is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real").read_text() == "new"
    assert len(listing(tmp_path)) == 4


def test_behind_a_link_that_leads_to_nothing_the_file_is_made(tmp_path):
    (tmp_path / NAME).symlink_to("real")
    with atomic_write(tmp_path / NAME) as partial:
        partial.write_text("new")
    assert (tmp_path / NAME).is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_working_directory_that_was_deleted(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for refuse in (check_writable, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(ExportError, match="No such file or directory"):
            refuse(Path(NAME))


def test_another_working_directory_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic_write(Path(NAME)) as partial:
        partial.write_text("new")
        os.chdir("other")
    assert (tmp_path / NAME).read_text() == "new"


@pytest.mark.parametrize("beside", [NAME, f"{NAME}.data"])
@pytest.mark.parametrize("kind", ["FIFO", "directory", "link to a FIFO"])
def test_what_comes_into_the_way_meanwhile_is_refused_too(kind, beside, tmp_path):
    with pytest.raises(ExportError, match="not a regular file"), atomic_write(tmp_path / NAME) as partial:  # noqa: PT012
        partial.write_text("new")
        partial.with_name(f"{NAME}.data").write_text("weights")
        IN_THE_WAY[kind][0](tmp_path / beside)
        before = {name: stat for name, stat in listing(tmp_path).items() if not name.startswith(".")}
    assert listing(tmp_path) == before


def test_a_file_that_cannot_be_moved_leaves_the_old_one(tmp_path, monkeypatch):
    def busy(self, target):
        raise OSError(errno.EBUSY, "Device or resource busy")

    (tmp_path / NAME).write_text("old")
    with pytest.raises(ExportError, match="Device or resource busy. Choose"), atomic_write(tmp_path / NAME) as partial:  # noqa: PT012
        partial.write_text("new")
        monkeypatch.setattr(Path, "replace", busy)
    assert (tmp_path / NAME).read_text() == "old"
    assert names(tmp_path) == [NAME]


def test_what_is_unfinished_can_be_removed_from_outside(tmp_path):
    writing = atomic_write(tmp_path / NAME)
    writing.__enter__().write_text("half")
    remove_unfinished()
    assert not names(tmp_path)
