"""Files of strangers: endless, greedy, damaged or lying, each ends in one line, and the process that ran it is gone."""

import gc
import os
import time

import keras
import numpy as np
import pytest
from hostile_files import crashing_file, greedy_file, looping_file, string_file
from keras_norms.export import ExportError, VerificationError, lint, to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from keras_norms.export.formats.isolated import isolated_reader
from keras_norms.export.worker import guarded
from keras_norms.export.worker.limits import GIGABYTES, SECONDS, Limits

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def net():
    x = keras.Input((4,), name="v")
    return keras.Model(x, keras.layers.Dense(3, name="out")(x))


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    to_onnx(net, folder / "m.onnx")
    to_tflite(net, folder / "m.tflite")
    return folder


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    gc.collect()  # an error that was caught refers to what was open
    assert not list(guarded._alive)


def pieces(path):
    """The guarded process of a file and its first runtime."""
    reader = isolated_reader(path)
    return reader._process, next(iter(reader.runners(path).values()))


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_it_computes_and_reads_what_this_process_would(files, suffix):
    path, feed = files / f"m{suffix}", {"v": np.random.default_rng(0).normal(size=(3, 4)).astype("float32")}
    here, there = format_of(path), isolated_reader(path)
    mine, theirs = here.runners(path), there.runners(path)
    assert list(mine) == list(theirs)
    for name in mine:
        assert (mine[name].inputs, mine[name].outputs) == (theirs[name].inputs, theirs[name].outputs)
        np.testing.assert_array_equal(mine[name].run(feed)["out"], theirs[name].run(feed)["out"])
    assert there.read_metadata(path) == here.read_metadata(path)
    assert there.quantized_as(path) is None
    for (a, x), (b, y) in zip(here.tensors(path, feed), there.tensors(path, feed), strict=True):
        assert a == b
        np.testing.assert_array_equal(x, y)
    theirs[name].renew()
    np.testing.assert_array_equal(mine[name].run(feed)["out"], theirs[name].run(feed)["out"])


def test_an_endless_file_ends_after_the_stated_time(net, tmp_path, monkeypatch):
    monkeypatch.setenv(SECONDS, "1.5")
    path = looping_file(tmp_path / "m.onnx")
    start = time.monotonic()
    expected = r"'m.onnx' does not run in ONNX Runtime, [a-z ]+: it was still running after 1.5 s, and was ended "
    expected += rf"\({SECONDS}=N allows more\)"
    with pytest.raises(VerificationError, match=expected):
        verify(net, path)
    assert time.monotonic() - start < 20


def test_a_greedy_file_ends_at_the_limit_of_memory(net, tmp_path, monkeypatch):
    monkeypatch.setenv(GIGABYTES, "1")
    with pytest.raises(VerificationError, match=r"'m.onnx' .*(allocate|1.0 GB|bad_alloc|MemoryError)"):
        verify(net, greedy_file(tmp_path / "m.onnx", 600_000_000))


def test_a_file_that_asks_for_huge_inputs_does_not_get_them(net, files, tmp_path):
    model = onnx.load(files / "m.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1_000_000_000_000
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=rf"takes 32000.0 GB of inputs.* or set {GIGABYTES}"):
        verify(net, tmp_path / "m.onnx")


def test_a_process_that_dies_is_one_line_and_the_next_run_has_another(files):
    process, runner = pieces(files / "m.tflite")
    feed = {"v": np.ones((1, 4), "float32")}
    expected = runner.run(feed)["out"]
    process._running.process.kill()
    with pytest.raises(VerificationError, match="it ended its process with SIGKILL; a damaged file can do that"):
        runner.run(feed)
    np.testing.assert_array_equal(runner.run(feed)["out"], expected)


def test_a_file_that_makes_the_runtime_crash_is_one_line(net, files, tmp_path):
    """LiteRT 2.3 reads what lies behind the inputs of a SLICE that has those of another operation."""
    crashing_file(files / "m.tflite", tmp_path / "m.tflite")
    with pytest.raises(VerificationError, match=r"'m.tflite' does not run in LiteRT") as told:
        verify(net, tmp_path / "m.tflite")
    assert "\n" not in str(told.value)


def test_a_process_that_answers_nonsense_is_ended(files, monkeypatch):
    process, runner = pieces(files / "m.tflite")
    monkeypatch.setattr(process._running, "answers", open(os.devnull, "rb"))  # noqa: PTH123, SIM115
    monkeypatch.setattr(guarded, "_SECONDS_TO_END", 0.1)
    with pytest.raises(VerificationError, match="gave an answer that makes no sense"):
        runner.run({"v": np.ones((1, 4), "float32")})


def test_an_interrupt_ends_the_process(files, monkeypatch):
    process, runner = pieces(files / "m.tflite")

    def interrupted(stream):
        raise KeyboardInterrupt

    monkeypatch.setattr(guarded, "receive", interrupted)
    child = process._running.process
    with pytest.raises(KeyboardInterrupt):
        runner.run({"v": np.ones((1, 4), "float32")})
    assert child.poll() is not None


def test_damage_that_a_reader_stumbles_over_is_one_line(net, files, tmp_path):
    whole = (files / "m.tflite").read_bytes()
    (tmp_path / "m.tflite").write_bytes(whole[:200] + b"\xff" * 200 + whole[400:])
    for call in (lambda: verify(net, tmp_path / "m.tflite"), lambda: lint(tmp_path / "m.tflite")):
        with pytest.raises((ExportError, VerificationError)) as told:
            call()
        assert "\n" not in str(told.value)


def test_strings_that_a_file_returns_are_refused(net, tmp_path):
    with pytest.raises(VerificationError, match="'out' is no tensor of numbers"):
        verify(net, string_file(tmp_path / "m.onnx"))


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_name_that_is_not_utf8_is_refused_as_such(net, files, suffix, tmp_path):
    path = tmp_path / os.fsdecode(b"bad\xff" + suffix.encode())
    path.write_bytes((files / f"m{suffix}").read_bytes())
    with pytest.raises(ExportError, match=r"must be UTF-8; got .*bad\\udcff.*Rename it"):
        verify(net, path)


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "1e99"])
def test_a_limit_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv(SECONDS, value)
    with pytest.raises(ExportError, match=f"{SECONDS} must be a positive number; got '{value}'"):
        Limits.for_file(1)


def test_limits_grow_with_the_file():
    small, large = Limits.for_file(1), Limits.for_file(4_000_000_000)
    assert (small.seconds, large.seconds) == (pytest.approx(120), pytest.approx(4120))
    assert large.bytes >= 64_000_000_000 >= small.bytes // 16
