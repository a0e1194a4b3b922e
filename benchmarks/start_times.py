"""What importing keras_norms adds to importing Keras, and how long the command takes to say something.

    python benchmarks/start_times.py [--runs 11]

Run it in an environment in which the wheel is installed: an editable install may compile each file anew. Every figure
is a median; the commands take turns, so that what slows the machine slows all of them.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

IMPORT = [sys.executable, "-X", "importtime", "-c", "import keras_norms"]
# The time of the processor beside that of the clock: other work on the machine adds to the latter alone.
PROCESSOR = [
    sys.executable,
    "-c",
    "import time, keras; t = time.process_time(); import keras_norms; print(time.process_time() - t)",
]
COMMANDS = {name: [sys.executable, "-m", "keras_norms_cli", name] for name in ("--help", "--version")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    taken: dict[str, list[float]] = {}
    for _ in range(runs):
        for what, seconds in one_round().items():
            taken.setdefault(what, []).append(seconds)
    for what, times in taken.items():
        spread = f"{1e3 * min(times):.1f} to {1e3 * max(times):.1f}"
        print(f"{what:<50} {1e3 * statistics.median(times):8.1f} ms   ({spread} in {runs} runs)")


def one_round() -> dict[str, float]:
    """Seconds of each."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    told = subprocess.run(IMPORT, env=quiet, capture_output=True, text=True, check=True).stderr
    whole = {name: int(time) for time, name in re.findall(r"\|\s+(\d+) \| +(keras|keras_norms)$", told, re.MULTILINE)}
    added = subprocess.run(PROCESSOR, env=quiet, capture_output=True, text=True, check=True).stdout
    found = {
        "import keras": whole["keras"] / 1e6,
        "what keras_norms adds, -X importtime": (whole["keras_norms"] - whole["keras"]) / 1e6,
        "what keras_norms adds, time of the processor": float(added),
    }
    for name, command in COMMANDS.items():
        start = time.perf_counter()
        subprocess.run(command, env=quiet, capture_output=True, check=True)
        found[f"keras-norms {name}"] = time.perf_counter() - start
    return found


if __name__ == "__main__":
    main()
