"""synchronized=True: statistics over all workers equal those of one big batch. Replicas: test_backends.py."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from layer_cases import BN, BRN

SCRIPT = str(Path(__file__).parents[1] / "support" / "layer_replicas.py")
# A worker waits for the others without end; a minute and a half is many times what the test takes.
SECONDS = 90


def _start(config):
    return subprocess.Popen(
        [sys.executable, SCRIPT],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "TF_CONFIG": json.dumps(config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _check(child):
    out, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 0, err[-4000:]
    assert out.strip().endswith("equal")


@pytest.mark.runtime
def test_workers():
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    children = [_start({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2)]
    try:
        for child in children:
            _check(child)
    finally:
        for child in children:
            child.kill()


def test_one_device_is_the_whole():
    """Outside of a strategy, synchronized changes nothing."""
    import numpy as np
    from layer_cases import inputs

    for layer in (BN, BRN):
        x = inputs((8, 5, 6))
        np.testing.assert_allclose(
            layer(synchronized=True)(x, training=True), layer()(x, training=True), rtol=0, atol=1e-5
        )
