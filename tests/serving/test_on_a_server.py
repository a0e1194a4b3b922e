"""A folded SavedModel behind a web application of another process, with TensorFlow alone: the numbers are Keras'."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_norms.export import fold
from models import image_net

import keras_norms

pytestmark = pytest.mark.runtime
APPLICATION = Path(__file__).parents[1] / "support" / "serving_application.py"


@pytest.fixture
def served(tmp_path):
    """A network with its batch renorms folded, as a SavedModel, and the address of a server of it."""
    model = image_net(keras_norms.BatchRenormalization)
    folded, report = fold(model)
    assert len(report.folded) == 2
    folded.export(tmp_path / "served", format="tf_saved_model", verbose=False)
    command = [sys.executable, str(APPLICATION), str(tmp_path / "served")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield model, process.stdout.readline().strip()
        finally:
            process.terminate()


def ask(address, rows):
    body = json.dumps({"instances": rows.tolist()}).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
        return json.load(answer)


def test_any_batch_is_answered_as_keras_does(served):
    model, address = served
    for batch in (1, 5, 2):
        rows = np.random.default_rng(batch).normal(size=(batch, 12, 12, 3)).astype("float32")
        told = ask(address, rows)
        expected = keras.ops.convert_to_numpy(model(rows))
        np.testing.assert_allclose(told["predictions"], expected, atol=1e-5 * np.abs(expected).max())
        assert "tensorflow" in told["imported"]
        assert "keras_norms" not in told["imported"]
