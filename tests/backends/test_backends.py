"""TensorFlow, JAX and PyTorch give the same outputs, statistics and gradients, and right second derivatives.

So do transforms, other people's exporters and our own. Each backend runs in one child process.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from derivative_cases import ROWS

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
    "torch": {},
}
BACKENDS = tuple(SETTINGS)
TOLERANCES = {"float32": 1e-3, "float64": 1e-6}
# Keras' group normalization of 8 x 8 x 16 in 4 groups and in 16, and its layer normalization, have this many.
MOST_OPERATIONS = {"BN": 10, "BRN": 10, "GN": 14, "IN": 13, "LN": 10}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of each backend that is installed, without suffix.

    One child process after another, which leaves the other core to the other tests.
    """
    folder = tmp_path_factory.mktemp("backends")
    installed = [backend for backend in BACKENDS if find_spec(backend) is not None]
    for backend in installed:
        child = subprocess.run(
            [sys.executable, str(SUPPORT / "backend_child.py"), str(folder / backend)],
            env={**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1", **SETTINGS[backend]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.returncode == 0, f"{backend}: {child.stderr[-4000:]}"
    return {backend: folder / backend for backend in installed}


@pytest.fixture(scope="module")
def results(files):
    """Arrays of every case."""
    return {backend: dict(np.load(path.with_suffix(".npz"))) for backend, path in files.items()}


@pytest.fixture(scope="module")
def tables(files):
    """What goes wrong; second derivatives, transforms and exporters."""
    return {backend: json.loads(path.with_suffix(".json").read_text()) for backend, path in files.items()}


def _of(found, backend):
    if backend not in found:
        pytest.skip(f"{backend} is not installed")
    return found[backend]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_results(results, backend):
    expected, found = results["tensorflow"], _of(results, backend)
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
def test_light_import(tables, backend):
    """Importing keras_norms loads no module that Keras on that backend has not loaded. For TensorFlow: test_house."""
    imported = _of(tables, backend)["imported"]
    assert "keras_norms" in imported
    assert [name for name in imported if not name.startswith("keras_norms")] == []


def test_mirrored_replicas(tables):
    """synchronized=True: statistics over all replicas equal those of one big batch."""
    assert tables["tensorflow"]["replicas"] == ""


def test_workers(tables):
    """So do statistics over all workers."""
    assert tables["tensorflow"]["workers"] == ""


def test_jax_data_parallel(tables):
    assert _of(tables, "jax")["replicas"] == ""


def test_pytorch_has_no_replicas(tables):
    assert _of(tables, "torch")["replicas"].endswith(
        "ValueError: `synchronized=True` needs the TensorFlow or the JAX backend. "
        "Received: synchronized=True on the torch backend. Use synchronized=False.\n"
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives(tables, backend):
    found = _of(tables, backend)["derivatives"]
    assert len(found) >= len(ROWS) // 11
    wrong = {name: errors for name, errors in found.items() if not max(errors) <= TOLERANCES[name.split()[-1]]}
    assert not wrong


@pytest.mark.parametrize("backend", BACKENDS)
def test_transforms(tables, backend):
    """With the right number, and with statistics that moved once."""
    found = _of(tables, backend)["transforms"]
    assert all(cells.keys() == {"BN", "BRN", "GN", "IN", "LN"} for cells in found.values())
    wrong = [f"{name}, {k}: {v}" for name, cells in found.items() for k, v in cells.items() if v != "right"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("backend", BACKENDS)
def test_exporters_of_keras(tables, backend):
    cells = _of(tables, backend)["exporters"]["together"]
    assert {format: cell for format, cell in cells.items() if cell not in ("right", "not installed")} == {}
    assert "right" in cells.values()


def test_operations_in_a_litert_file(tables):
    """No operation depends on data: TFLite Micro and delegates take none that does."""
    for name, (count, of_data) in tables["tensorflow"]["exporters"]["operations"].items():
        assert of_data == [], name
        assert count <= MOST_OPERATIONS[name], name


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_export_from_another_backend(tables, backend):
    assert _of(tables, backend)["exports"] == ""
