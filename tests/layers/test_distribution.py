"""synchronized=True: statistics over all replicas equal those of one big batch."""

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from layer_cases import BN, BRN

SCRIPT = str(Path(__file__).parents[1] / "support" / "layer_replicas.py")
# A worker waits for the others without end; a minute and a half is many times what the test takes.
SECONDS = 90


def _start(mode, **environment):
    return subprocess.Popen(
        [sys.executable, SCRIPT, mode],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _check(child):
    out, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 0, err[-4000:]
    assert out.strip().endswith("equal")


@pytest.mark.runtime
def test_mirrored_replicas():
    _check(_start("mirrored"))


@pytest.mark.runtime
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_jax_data_parallel():
    _check(
        _start(
            "sharded",
            KERAS_BACKEND="jax",
            JAX_PLATFORMS="cpu",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        )
    )


@pytest.mark.runtime
def test_workers():
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    children = [
        _start("worker", TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}))
        for i in range(2)
    ]
    try:
        for child in children:
            _check(child)
    finally:
        for child in children:
            child.kill()


@pytest.mark.runtime
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_has_no_replicas():
    script = "import keras_norms as k\ntry: k.BatchNormalization(synchronized=True)\nexcept ValueError as e: print(e)"
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.strip() == (
        "`synchronized=True` needs the TensorFlow or the JAX backend. "
        "Received: synchronized=True on the torch backend. Use synchronized=False."
    )


def test_one_device_is_the_whole():
    """Outside of a strategy, synchronized changes nothing."""
    import numpy as np
    from layer_cases import inputs

    for layer in (BN, BRN):
        x = inputs((8, 5, 6))
        np.testing.assert_allclose(
            layer(synchronized=True)(x, training=True), layer()(x, training=True), rtol=0, atol=1e-5
        )
