"""Derivatives of the second order, transforms and other people's exporters, on every backend in one process each."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from derivative_cases import ROWS
from derivative_oracle import Reference, directions, program
from layer_cases import oracle_inference, oracle_training, randomize

SUPPORT = Path(__file__).parents[1] / "support"
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
def results(tmp_path_factory):
    """The tables of each backend that is installed. The processes run at the same time."""
    folder = tmp_path_factory.mktemp("programs")
    children = {
        backend: subprocess.Popen(
            [sys.executable, str(SUPPORT / "layer_programs.py"), str(folder / f"{backend}.json")],
            env={**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1", **SETTINGS[backend]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in BACKENDS
        if find_spec(backend) is not None
    }
    complaints = {backend: child.communicate()[1] for backend, child in children.items()}
    for backend, child in children.items():
        assert child.returncode == 0, f"{backend}: {complaints[backend][-4000:]}"
    return {backend: json.loads((folder / f"{backend}.json").read_text()) for backend in children}


def _of(results, backend):
    if backend not in results:
        pytest.skip(f"{backend} is not installed")
    return results[backend]


@pytest.mark.runtime
@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives(results, backend):
    found = _of(results, backend)["derivatives"]
    assert len(found) >= len(ROWS) // 11
    wrong = {name: errors for name, errors in found.items() if not max(errors) <= TOLERANCES[name.split()[-1]]}
    assert not wrong


@pytest.mark.runtime
@pytest.mark.parametrize("backend", BACKENDS)
def test_transforms(results, backend):
    """With the right number, and with statistics that moved once."""
    found = _of(results, backend)["transforms"]
    assert {len(cells) for cells in found.values()} == {2}
    assert set().union(*found.values()) == {"BN", "BRN", "GN", "IN", "LN"}
    wrong = [f"{name}, {k}: {v}" for name, cells in found.items() for k, v in cells.items() if v != "right"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.runtime
@pytest.mark.parametrize("backend", BACKENDS)
def test_exporters_of_keras(results, backend):
    cells = _of(results, backend)["exporters"]["together"]
    assert {format: cell for format, cell in cells.items() if cell not in ("right", "not installed")} == {}
    assert "right" in cells.values()


@pytest.mark.runtime
def test_operations_in_a_litert_file(results):
    """No operation depends on data: TFLite Micro and delegates take none that does."""
    for name, (count, of_data) in results["tensorflow"]["exporters"]["operations"].items():
        assert of_data == [], name
        assert count <= MOST_OPERATIONS[name], name


def _oracle(row, layer, x):
    mask = row.mask()
    return oracle_training(layer)(x, mask) if row.case.has_batch_statistics else oracle_inference(layer, x, mask)


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row.id)
def test_the_reference(row):
    """What second derivatives are compared with: its outputs are the oracle's, its gradients their differences."""
    if row.case.arguments.get("virtual_batch_size"):
        pytest.skip("the oracle has no virtual batches")
    parameters = program(row.case)
    layer = randomize(row.case.make(dtype="float64"), row.case.shape)
    for weight, value in ((layer.gamma, parameters.gamma), (layer.beta, parameters.beta)):
        if weight is not None:
            weight.assign(value)
    reference = Reference(row.case, layer, parameters, row.mask())
    y = reference.output(parameters)
    np.testing.assert_allclose(y, _oracle(row, layer, parameters.x @ parameters.kernel), rtol=0, atol=1e-12)
    direction, u = directions(parameters)
    slope = reference.tangent(parameters, direction)
    gradient = reference.gradient(parameters, u)
    found = sum((g * v).sum() for g, v in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(found, (np.cos(y) * u * slope).sum(), rtol=1e-6)
