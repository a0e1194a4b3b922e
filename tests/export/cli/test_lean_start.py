"""Processes start without the packages that Keras imports beside what they need, and find them afterwards."""

import subprocess
import sys

import pytest
from keras_norms.export.worker import client

pytestmark = pytest.mark.runtime

# What was hidden is missing before, and there afterwards; garbage is collected again.
CHECKS = """
import gc
seen = [name for name in ("sklearn", "matplotlib", "scipy.stats") if name in sys.modules]
assert not seen, seen
assert "tensorflow" in sys.modules
assert gc.isenabled()
import matplotlib
import sklearn
"""


@pytest.mark.parametrize(
    "start",
    [
        f"{client._LEAN}; from keras_norms.export.worker.server import main; main('formats.tflite.convert')",
        "from keras_norms_cli.session import _import_libraries; _import_libraries()",
    ],
    ids=["converter", "command"],
)
def test_a_process_starts_without_what_it_does_not_need(start):
    code = f"import sys; {start}\n{CHECKS}"
    ended = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_command_leaves_alone_what_is_imported_already(monkeypatch):
    import gc

    import sklearn
    from keras_norms_cli import session

    session._import_libraries()
    assert sys.modules["sklearn"] is sklearn
    assert gc.isenabled()
