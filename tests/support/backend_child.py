"""Runs all that other backends are tried on, on the one that KERAS_BACKEND names.

KERAS_BACKEND=jax python backend_child.py results

writes results.npz with what every layer case gives, and results.json with what goes wrong and the tables of
derivatives, transforms and exporters. Importing a backend takes seconds, so this is one process; JAX needs two devices
for its replicas, which tests/backends/test_backends.py asks for.
"""

import gc
import json
import sys
import traceback
from pathlib import Path

gc.disable()  # what is imported stays: the collector need not look through it again and again

import keras  # noqa: E402

before = set(sys.modules)
import keras_norms  # noqa: E402, F401 - before all others, to see what it imports

IMPORTED = sorted(set(sys.modules) - before)

import derivatives  # noqa: E402
import exporters  # noqa: E402
import numpy as np  # noqa: E402
import transforms  # noqa: E402
from layer_cases import BN  # noqa: E402
from layer_replicas import Workers, mirrored, sharded  # noqa: E402
from layer_results import layer_results  # noqa: E402

gc.freeze()
gc.enable()


class InTheScript(keras.layers.Layer):
    """What no other process can import."""

    def call(self, inputs):
        return inputs


def refused():
    """PyTorch has no replicas."""
    BN(synchronized=True)


def replicas():
    """What goes wrong with replicas. First of all, as TensorFlow must not have begun."""
    try:
        {"tensorflow": mirrored, "jax": sharded, "torch": refused}[keras.backend.backend()]()
    finally:
        if keras.backend.backend() == "jax":
            keras.distribution.set_distribution(None)


def exports():
    """What goes wrong with exports. Models of TensorFlow have tests of their own."""
    if keras.backend.backend() != "tensorflow":
        from exports_elsewhere import exports_from_here

        exports_from_here(InTheScript)


def wrong(function):
    """A traceback, or an empty text."""
    try:
        function()
    except Exception:
        return traceback.format_exc()
    return ""


def main(path):
    workers = Workers() if keras.backend.backend() == "tensorflow" else None
    told = {"imported": IMPORTED, "replicas": wrong(replicas), "workers": workers.wrong() if workers else ""}
    np.savez(f"{path}.npz", **layer_results())
    told |= {"derivatives": derivatives.sample(), "transforms": transforms.sample()}
    gc.freeze()  # what backends keep of the programs so far: the converters collect garbage with each model
    told["exporters"] = exporters.table()
    told["exports"] = wrong(exports)
    Path(f"{path}.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
