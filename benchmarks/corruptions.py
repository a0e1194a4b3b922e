"""Files with a fault put in, and whether `verify` says so.

    python benchmarks/corruptions.py --faults 500 [--modes float32,int8] [--formats tflite,onnx] [--seed TEXT]

Each file of tests/support/corruptions/base_models.py is exported in each mode, and faults of all kinds are put into
copies of it: weights off by .1, 1 and 10 %, one weight or one bit of it, swapped channels, epsilon x2, padding, stride,
dilation, activations, axes, swapped operands, swapped names, operations dropped or changed, scales and zero points of
quantized tensors, shapes. Whether a fault matters is decided without the package: plain LiteRT and ONNX Runtime beside
Keras in float32, on rows of N(0, 1) that verification does not see, or in quantized files on the calibration data. It
matters if it moves an output by more than 1e-4 of its scale, or costs a quantized one more than 3 dB. A quantized file
has its certificate beside it, with the hash of the corrupted file in the place of its own: what is asked is what the
figures show. The table is by kind: faults; those that matter; those of them that `verify` catches; those that it
catches besides. A line tells each that it misses.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))


def work():
    """Read (file, first fault, number of faults) line by line; write a trial a line, and an empty line at the end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    warnings.simplefilter("ignore")
    from corruptions import corruptions, spread
    from corruptions.trial import Base, verified_here

    with tempfile.TemporaryDirectory() as folder, verified_here():
        for line in sys.stdin:
            name, suffix, mode, first, count, seed = json.loads(line)
            try:
                base = Base.exported(name, suffix, mode, Path(folder))
            except Exception as error:
                answers.write(json.dumps({"refused": f"{type(error).__name__}: {error}"[:400]}) + "\n\n")
                answers.flush()
                continue
            faults = spread(corruptions(base.content, suffix), count, f"{name} {suffix} {mode}{seed}")
            for fault in faults[first:]:
                answers.write(json.dumps({"begins": [fault.kind, fault.where]}) + "\n")
                answers.flush()
                answers.write(json.dumps(base.tried(fault, Path(folder)).to_dict()) + "\n")
                answers.flush()
            answers.write("\n")
            answers.flush()


class Worker:
    def __init__(self):
        self.process = None

    def trials(self, name, suffix, mode, count, seed):
        """The trials of one file. A fault that ends the process is one that a user's interpreter does not survive."""
        done = 0
        while True:
            self._start()
            self.process.stdin.write(json.dumps([name, suffix, mode, done, count, seed]) + "\n")
            self.process.stdin.flush()
            begun = None
            for line in self.process.stdout:
                if not line.strip():
                    return
                said = json.loads(line)
                if "begins" in said:
                    begun = said["begins"]
                elif "refused" in said:
                    print(f"not exported: {name}{suffix} {mode}: {said['refused']}", flush=True)
                else:
                    done, begun = done + 1, None
                    yield said
            self.process.wait()
            self.process = None
            if begun is None:
                return print(f"the process ended: {name}{suffix} {mode}", flush=True)
            done += 1
            print(f"ends a plain interpreter: {name}{suffix} {mode}: {begun}", flush=True)

    def _start(self):
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--work"], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )


def files(modes, formats):
    from corruptions.base_models import BASES, QUANTIZED

    return [
        (name, f".{form}", mode)
        for mode in modes
        for name in (BASES if mode == "float32" else QUANTIZED)
        for form in formats
    ]


def table(trials):
    kinds = defaultdict(list)
    for trial in trials:
        kinds[trial["kind"]].append(trial)
    print("\n| fault | files | that matter | caught | caught besides |\n|---|---|---|---|---|")
    for kind, of_kind in [*sorted(kinds.items()), ("all", trials)]:
        _row(kind, of_kind)
    print("\n| mode | files | that matter | caught | caught besides |\n|---|---|---|---|---|")
    for mode in dict.fromkeys((t["suffix"], t["mode"]) for t in trials):
        _row(" ".join(mode), [t for t in trials if (t["suffix"], t["mode"]) == mode])


def _row(name, trials):
    matter = [t for t in trials if t["matters"]]
    caught = sum(t["caught"] for t in matter)
    print(f"| {name} | {len(trials)} | {len(matter)} | {caught} | {sum(t['caught'] for t in trials) - caught} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--modes", default="float32,float16,dynamic,int8")
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--seed", default="", help="any text: other faults of the same files")
    parser.add_argument("--log", type=Path, default=Path("corruptions.jsonl"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        return work()
    bases = files(given.modes.split(","), given.formats.split(","))
    worker, found = Worker(), []
    with given.log.open("w") as log:
        for i, base in enumerate(bases):
            count = given.faults * (i + 1) // len(bases) - given.faults * i // len(bases)
            for trial in worker.trials(*base, count, given.seed):
                found.append(trial)
                log.write(json.dumps(trial) + "\n")
                log.flush()
                if trial["matters"] and not trial["caught"]:
                    told = {name: trial[name] for name in ("base", "suffix", "mode", "kind", "where", "moved")}
                    print(f"missed: {told}", flush=True)
    table(found)
    return None


if __name__ == "__main__":
    main()
