"""Random models through `to_tflite` and `to_onnx`, each file judged by plain runtimes and by Keras in float64.

    python benchmarks/random_exports.py --models 1000 [--start 0] [--jobs 2] [--formats tflite,onnx] [--log FILE]
    python benchmarks/random_exports.py --shrink SEED [--formats onnx]

The first writes a line of JSON for each export to the log, and prints a table of what became of them: right; wrong
file; refused, and whether the file that was refused is right all the same; crash, which is any other exception, a
process that died, or more than two minutes. tests/support/random_models/judge.py says how files are judged. The second
prints the recipe of a model, and the smallest model that fails in the same way. `--show SEED` prints the recipe alone.
"""

import argparse
import faulthandler
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

A_PROCESS, SECONDS = 100, 120
CRASH, SEEDS_SHOWN = "crash", 12


def work(formats):
    """Read seeds line by line, write an outcome a line."""
    from random_models import random_recipe
    from random_models.outcome import built_from, for_format, outcome

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    faulthandler.enable()
    for line in sys.stdin:
        recipe, built = random_recipe(int(line)), {}
        for name in formats:
            served = for_format(recipe, name)
            batch = served.batch_size
            if batch not in built:
                built[batch] = built_from(served)
            answers.write(json.dumps(outcome(served, name, built[batch]).to_dict()) + "\n")
            answers.flush()


class Worker:
    """A process that exports one model after the other."""

    def __init__(self, formats):
        self.formats, self.process, self.done = formats, None, 0
        self.printed = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115  (lives as long as this)

    def outcomes(self, seed):
        if self.process is None or self.done >= A_PROCESS:
            self.stop()
            command = [sys.executable, __file__, "--work", "--formats", ",".join(self.formats)]
            pipe = subprocess.PIPE
            self.printed.truncate(0)
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.printed, text=True)
            self.done = 0
        self.done += 1
        self.process.stdin.write(f"{seed}\n")
        self.process.stdin.flush()
        for name in self.formats:
            clock = threading.Timer(SECONDS, self.process.kill)
            clock.start()
            line = self.process.stdout.readline()
            clock.cancel()
            if not line:
                code = self.process.wait()
                self.process = None
                self.printed.seek(0)
                last = self.printed.read()[-3000:]
                kind = f"the process ended with {code}"
                yield {"seed": seed, "format": name, "outcome": CRASH, "kind": kind, "message": last}
                return
            yield json.loads(line)

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


def hunt(seeds, formats, jobs, log):
    """The outcomes of all seeds, written to the log as they come."""
    left, found, lock = queue.SimpleQueue(), [], threading.Lock()
    for seed in seeds:
        left.put(seed)

    def run():
        worker = Worker(formats)
        while True:
            try:
                seed = left.get_nowait()
            except queue.Empty:
                return worker.stop()
            for outcome in worker.outcomes(seed):
                with lock:
                    found.append(outcome)
                    log.write(json.dumps(outcome) + "\n")
                    log.flush()
                    if outcome["outcome"] != "right":
                        print(
                            f"{outcome['seed']:6} {outcome['format']:6} {outcome['outcome']}: {outcome['kind']}",
                            flush=True,
                        )

    threads = [threading.Thread(target=run) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def table(outcomes):
    total = Counter(outcome["format"] for outcome in outcomes)
    print("\n| outcome | " + " | ".join(total) + " |\n|---|" + "---|" * len(total))
    for name in sorted({outcome["outcome"] for outcome in outcomes}):
        counts = Counter(outcome["format"] for outcome in outcomes if outcome["outcome"] == name)
        print(
            f"| {name} | " + " | ".join(f"{counts[form]} ({counts[form] / total[form]:.1%})" for form in total) + " |"
        )
    kinds = defaultdict(list)
    for outcome in outcomes:
        if outcome["outcome"] != "right":
            kinds[outcome["outcome"], outcome["format"], outcome["kind"]].append(outcome["seed"])
    print("\n| outcome | format | kind | times | seeds |\n|---|---|---|---|---|")
    for (name, form, kind), seeds in sorted(kinds.items(), key=lambda item: -len(item[1])):
        shown = " ".join(map(str, sorted(seeds)[:SEEDS_SHOWN])) + (" ..." if len(seeds) > SEEDS_SHOWN else "")
        print(f"| {name} | {form} | {kind.replace('|', '/')} | {len(seeds)} | {shown} |")


def shrink_seed(seed, formats):
    from random_models import random_recipe
    from random_models.outcome import RIGHT, for_format, outcome
    from random_models.shrink import shrink

    whole = random_recipe(seed)
    print(whole.script())
    for name in formats:
        recipe = for_format(whole, name)
        first = outcome(recipe, name)
        print(f"# {name}: {first.outcome}: {first.message}\n# judged: {first.judged}")
        if first.outcome == RIGHT:
            continue

        def fails(smaller, name=name, first=first):
            return outcome(smaller, name).like(first)

        smallest = shrink(recipe, fails)
        print(f"\n# the smallest:\n{smallest.script()}# {outcome(smallest, name).message}\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seeds", help="these, separated by commas, instead of a range")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--log", type=Path, default=Path("random_exports.jsonl"))
    parser.add_argument("--shrink", type=int, metavar="SEED")
    parser.add_argument("--show", type=int, metavar="SEED")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    formats = given.formats.split(",")
    if given.work:
        return work(formats)
    if given.show is not None:
        from random_models import random_recipe

        return print(random_recipe(given.show).script())
    if given.shrink is not None:
        return shrink_seed(given.shrink, formats)
    seeds = (
        [int(seed) for seed in given.seeds.split(",")]
        if given.seeds
        else range(given.start, given.start + given.models)
    )
    with given.log.open("w") as log:
        found = hunt(seeds, formats, given.jobs, log)
    table(found)
    return None


if __name__ == "__main__":
    main()
