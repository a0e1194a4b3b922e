"""Runs the tables of derivatives, transforms and exporters on the backend that KERAS_BACKEND names; writes JSON.

KERAS_BACKEND=jax python layer_programs.py results.json

JAX needs two devices, which tests/layers/test_transforms.py asks for.
"""

import json
import sys
import time
from pathlib import Path

import derivatives
import exporters
import transforms

TABLES = {"derivatives": derivatives.sample, "transforms": transforms.sample, "exporters": exporters.table}


def main(path):
    results = {}
    for name, table in TABLES.items():
        start = time.process_time()
        results[name] = table()
        results[f"{name}: seconds"] = time.process_time() - start
    Path(path).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
