"""synchronized=True outside of a strategy. Replicas and workers: test_backends.py."""

import numpy as np
from layer_cases import BN, BRN, inputs


def test_one_device_is_the_whole():
    """Outside of a strategy, synchronized changes nothing."""
    for layer in (BN, BRN):
        x = inputs((8, 5, 6))
        np.testing.assert_allclose(
            layer(synchronized=True)(x, training=True), layer()(x, training=True), rtol=0, atol=1e-5
        )
