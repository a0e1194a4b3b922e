"""What second derivatives are compared with: its outputs are the oracle's, its gradients their differences."""

import numpy as np
import pytest
from derivative_cases import ROWS
from derivative_oracle import Reference, directions, program
from layer_cases import oracle_inference, oracle_training, randomize


def _oracle(row, layer, x):
    mask = row.mask()
    return oracle_training(layer)(x, mask) if row.case.has_batch_statistics else oracle_inference(layer, x, mask)


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row.id)
def test_the_reference(row):
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
