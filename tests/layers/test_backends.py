"""TensorFlow, JAX and PyTorch give the same outputs, statistics and gradients. Each runs in one child process."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.runtime

SUPPORT = Path(__file__).parents[1] / "support"


# Each program runs once on small numbers: in PyTorch several threads mostly wait for each other, and JAX would spend
# more time on better code than that code saves. It has two devices for the replicas.
SETTINGS = {
    "tensorflow": {"TF_CPP_MIN_LOG_LEVEL": "3"},
    "jax": {
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    },
    "torch": {"OMP_NUM_THREADS": "1"},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of every case on each backend that is installed. The child processes run at the same time."""
    folder = tmp_path_factory.mktemp("backends")
    script = str(SUPPORT / "layer_child.py")
    children = {
        backend: subprocess.Popen(
            [sys.executable, script, str(folder / f"{backend}.npz")],
            env={**os.environ, "KERAS_BACKEND": backend, **SETTINGS[backend]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in SETTINGS
        if find_spec(backend) is not None
    }
    complaints = {backend: child.communicate()[1] for backend, child in children.items()}
    for backend, child in children.items():
        assert child.returncode == 0, f"{backend}: {complaints[backend][-4000:]}"
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in children}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_results(results, backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    expected, found = (dict(results[name]) for name in ("tensorflow", backend))
    for result in (expected, found):
        del result["imported"], result["replicas"], result["workers"]
    assert found.keys() == expected.keys()
    wrong = []
    for name, value in expected.items():
        # Half precision rounds its output: one unit in the last place of float16 or bfloat16.
        half = 2e-3 if "mixed_float16" in name else 2e-2 if "mixed_bfloat16" in name else 0.0
        relative = half or (2e-5 if name.startswith("far") else 1e-5)
        if "float64" in name and backend == "torch":  # JAX has float64 only on request
            relative = 1e-12
        error = np.abs(found[name] - value).max() / max(1.0, np.abs(value).max())
        if not error <= relative:
            wrong.append(f"{name}: {error:.1e}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_light_import(results, backend):
    """Importing keras_norms loads no module that Keras on that backend has not loaded. For TensorFlow: test_house."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    imported = results[backend]["imported"].tolist()
    assert "keras_norms" in imported
    assert [name for name in imported if not name.startswith("keras_norms")] == []


def test_mirrored_replicas(results):
    """synchronized=True: statistics over all replicas equal those of one big batch."""
    assert str(results["tensorflow"]["replicas"]) == ""


def test_workers(results):
    """So do statistics over all workers."""
    assert str(results["tensorflow"]["workers"]) == ""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_jax_data_parallel(results):
    assert str(results["jax"]["replicas"]) == ""


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_has_no_replicas(results):
    assert str(results["torch"]["replicas"]).endswith(
        "ValueError: `synchronized=True` needs the TensorFlow or the JAX backend. "
        "Received: synchronized=True on the torch backend. Use synchronized=False.\n"
    )
