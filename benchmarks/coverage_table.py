"""What Keras has, exported: every row of `coverage_rows` in both formats, and docs/coverage.md from what came of it.

    python benchmarks/coverage_table.py [--rows PATTERN] [--formats tflite,onnx] [--only MODE] [--jobs 2]
    python benchmarks/coverage_table.py --refused       run again what was refused; `--again`: everything asked for
    python benchmarks/coverage_table.py --render        docs/coverage.md from benchmarks/coverage.json alone

What benchmarks/coverage.json has is not run again, unless it is asked for. The results of each row are appended to a
file of lines as they come (`--work FILE`), so that a run that was interrupted goes on where it was. When all that was
asked for is done, it is merged into benchmarks/coverage.json, and docs/coverage.md is written. Rows of KerasHub need
keras-hub, and stay as they were recorded where it is not installed.
"""

import argparse
import importlib.util
import json
import os
import queue
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
HERE = Path(__file__).parent
sys.path.append(str(HERE))

ROWS_A_PROCESS, EXPORTS_A_CHILD, SECONDS = 100, 200, 150
JSON, PAGE = HERE / "coverage.json", HERE.parent / "docs" / "coverage.md"


def work() -> None:
    """Read a row's key and the keys of its cells a line, write what came of each cell a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    from coverage_rows import ROWS
    from coverage_rows.coverage_cells import CELLS, RAW, build, outcome
    from keras_norms.export.worker import client

    client._JOBS_PER_CHILD = EXPORTS_A_CHILD  # each start imports TensorFlow, and there is memory for leaks here

    rows, cells = {row.key: row for row in ROWS}, {cell.key: cell for cell in CELLS}
    for line in sys.stdin:
        asked = json.loads(line)
        row = rows[asked["row"]]
        try:
            model = build(row)
        except Exception as error:
            model, broken = None, f"the row cannot be built: {type(error).__name__}: {str(error)[:400]}"
        for key in asked["cells"]:
            found = {"verdict": RAW, "words": broken} if model is None else outcome(row, model, cells[key])
            answers.write(json.dumps({"row": row.key, "cell": key, **found}) + "\n")
            answers.flush()


class Worker:
    """A process that exports one row after the other; a cell that takes too long ends it."""

    def __init__(self):
        self.process, self.done = None, 0

    def start(self):
        self.stop()
        command = [sys.executable, __file__, "--serve"]
        pipe = subprocess.PIPE
        self.printed = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115  (lives as long as the process)
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self.printed, text=True, bufsize=1, start_new_session=True
        )
        self.done = 0

    def outcomes(self, row, cells):
        """Results of the cells in order; a cell that ends the process is one too."""
        left = list(cells)
        while left:
            if self.process is None or self.done >= ROWS_A_PROCESS:
                self.start()
            self.done += 1
            self.process.stdin.write(json.dumps({"row": row, "cells": left}) + "\n")
            self.process.stdin.flush()
            while left:
                line, why = self.line()
                if not line:
                    yield {"row": row, "cell": left.pop(0), "verdict": "raw", "words": why}
                    break
                left.pop(0)
                yield json.loads(line)

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS + 30 * (self.done == 1))
        line = self.process.stdout.readline() if ready else ""
        if line:
            return line, ""
        if not ready:
            os.killpg(self.process.pid, 9)
        code = self.process.wait()
        self.process = None
        self.printed.seek(0)
        last = self.printed.read()[-300:]
        return "", f"took more than {SECONDS} seconds" if not ready else f"the process ended with {code}: {last}"

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


def sweep(asked, log, jobs):
    """Run the cells of each row, and append what came of them to the log."""
    left, lock, begin, count = queue.SimpleQueue(), threading.Lock(), time.time(), [0]
    for item in asked:
        left.put(item)

    def run():
        worker = Worker()
        while True:
            try:
                row, cells = left.get_nowait()
            except queue.Empty:
                return worker.stop()
            for found in worker.outcomes(row, cells):
                with lock:
                    log.write(json.dumps(found) + "\n")
                    log.flush()
                    if found["verdict"] in ("refused", "raw"):
                        print(f"{found['verdict']:8} {found['cell']:22} {row}: {found['words'][:200]!r}", flush=True)
            count[0] += 1
            if count[0] % 25 == 0:
                print(f"-- {count[0]} of {len(asked)} rows, {time.time() - begin:.0f} s", flush=True)

    threads = [threading.Thread(target=run) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def results_in(path):
    """The last result of each (row, cell) in a file of lines."""
    found = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            result = json.loads(line)
            found[result["row"], result["cell"]] = result
    return found


def recorded():
    """The results in the committed record."""
    if not JSON.is_file():
        return {}
    rows = json.loads(JSON.read_text())["rows"]
    return {(row["key"], cell): found for row in rows for cell, found in row["cells"].items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="a regular expression over `kind: code on inputs`")
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--only", default="", help="float32, float16, dynamic, int8; also several, with commas")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "coverage.jsonl")
    parser.add_argument("--again", action="store_true", help="also the rows that the file of results has")
    parser.add_argument("--refused", action="store_true", help="also what was refused before")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return work()
    from coverage_rows import ROWS
    from coverage_rows.coverage_cells import CELLS
    from coverage_rows.coverage_page import merged, page

    if not options.render:
        modes = options.only.split(",") if options.only else ["float32", "float16", "dynamic", "int8"]
        formats = options.formats.split(",")
        cells = [cell.key for cell in CELLS if cell.format in formats and (cell.mode or "float32") in modes]
        hub = importlib.util.find_spec("keras_hub") is not None
        rows = [row.key for row in ROWS if re.search(options.rows, row.key) and (hub or row.kind != "backbones")]
        known = {} if options.again else recorded() | results_in(options.work)
        if options.refused:
            known = {place: found for place, found in known.items() if found["verdict"] not in ("refused", "raw")}
        asked = [(row, [cell for cell in cells if (row, cell) not in known]) for row in rows]
        asked = [(row, cells) for row, cells in asked if cells]
        with options.work.open("a") as log:
            sweep(asked, log, options.jobs)
        merged(ROWS, results_in(options.work), JSON)
    PAGE.write_text(page(json.loads(JSON.read_text())))


if __name__ == "__main__":
    main()
