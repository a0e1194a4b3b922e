"""A fault of the code that looks for a wrong layer is seen, not ignored; and files are read in the tests' process."""

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True, scope="session")
def _raise_in_diagnosis():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_NORMS_RAISE_IN_DIAGNOSIS", "1")
        yield


@pytest.fixture(scope="module")
def read_here():
    """`verify` without a process for each file, which takes half a second; formats/test_isolated.py has that one.

    For files that the tests made themselves. The command's tests have the process too.
    """
    from keras_norms.export.formats import format_of

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["keras_norms.export.verification.verify"], "isolated_reader", format_of)
        yield


@pytest.fixture(scope="module")
def answers_kept():
    """A model that many files are compared with runs once on each input."""
    from kept_answers import answers_kept

    with answers_kept():
        yield


@pytest.fixture
def read_apart(monkeypatch):
    """The process again, for one test among those with `read_here`: its file may end it."""
    from keras_norms.export.formats.isolated import isolated_reader

    monkeypatch.setattr(sys.modules["keras_norms.export.verification.verify"], "isolated_reader", isolated_reader)


@pytest.fixture(scope="module")
def linted_here():
    """`lint` without a process for each file, as `read_here`."""
    from keras_norms.export.formats import format_of
    from keras_norms.export.formats.tflite.delegates.delegate_findings import delegate_findings

    def here(path):
        return SimpleNamespace(runners=format_of(path).runners, delegate_findings=delegate_findings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["keras_norms.export.formats.tflite.delegates.lint"], "isolated_reader", here)
        yield
