"""Where the files are the tests' own, `verify` may read them in this process."""

import sys

import pytest
from keras_norms.export.formats import format_of


@pytest.fixture(scope="module")
def read_here():
    """`verify` without a process for each file, which takes half a second; formats/test_isolated.py has that one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["keras_norms.export.verification.verify"], "isolated_reader", format_of)
        yield
