"""Networks of 1 to 50 norms in which one is wrong, and whether `verify` says so.

    python benchmarks/norm_mutants.py [--depths 1,2,5,10,20,35,50] [--formats tflite,onnx] [--edited] [--minutes 60]

Chains of convolutions or dense layers, norms and ReLUs with random weights; tests/support/norm_mutants.py has the
faults. Each stands in the first, a middle or the last norm, in turn. A fault counts if it moves its layer's own result
by more than 2e-5 of its scale on N(0, 1). The table has caught / counted by fault and depth, and how many sound files
pass. A line tells each fault that is missed and each sound file that is refused. With `--edited` the faults are epsilon
x2 alone, put into a file that is exported once: in the first, a middle and the last norm.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
SOUND = "sound files that pass"


def trials(depths, formats):
    """(kind, depth, fault, at, suffix), the small ones first; a fault stands elsewhere in each."""
    from norm_mutants import KINDS, faults_of

    turn = 0
    for depth in depths:
        for kind in KINDS:
            for form in formats:
                yield kind, depth, None, -1, f".{form}"
                for fault in faults_of(kind):
                    turn += 1
                    yield kind, depth, fault, (0, depth // 2, depth - 1)[turn % 3], f".{form}"


def of_exported(depths, formats, folder):
    from norm_mutants import judged

    for trial in trials(depths, formats):
        yield trial, judged(*trial, folder)


def of_edited(depths, formats, folder):
    from norm_mutants import KINDS, edited

    for depth in depths:
        for kind in KINDS:
            for form in formats:
                places = sorted({0, depth // 2, depth - 1})
                for fault, at, verdict in edited(kind, depth, f".{form}", folder, places):
                    yield (kind, depth, fault, at, f".{form}"), verdict


def table(found, depths):
    counts = defaultdict(lambda: [0, 0])
    for kind, depth, fault, _, suffix, change, caught, _ in found:
        if fault is None or change > 2e-5:
            for row in (fault or SOUND, f"{kind} ({suffix[1:]})") if fault else (SOUND,):
                counts[row, depth][0] += caught if fault else not caught
                counts[row, depth][1] += 1
    print("\n| | " + " | ".join(map(str, depths)) + " |\n|---|" + "---|" * len(depths))
    for row in dict.fromkeys(row for row, _ in counts):
        cells = ["{}/{}".format(*counts[row, depth]) if (row, depth) in counts else "" for depth in depths]
        print(f"| {row} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="1,2,5,10,20,35,50")
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--log", type=Path, default=Path("norm_mutants.jsonl"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--edited", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    from norm_mutants import verified_here

    depths, formats, found = list(map(int, given.depths.split(","))), given.formats.split(","), []
    end = time.time() + 60 * given.minutes
    with given.log.open("w") as log, tempfile.TemporaryDirectory() as folder, verified_here():
        for trial, verdict in (of_edited if given.edited else of_exported)(depths, formats, Path(folder)):
            found.append((*trial, verdict.change, verdict.caught, verdict.how))
            log.write(json.dumps(found[-1]) + "\n")
            log.flush()
            if verdict.caught == (trial[2] is None):
                print("missed:" if trial[2] else "refused:", *trial, f"{verdict.change:.1e}", verdict.how, flush=True)
            if time.time() > end:
                print("the time is over")
                break
    table(found, depths)


if __name__ == "__main__":
    main()
