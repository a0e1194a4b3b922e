"""The same file, verified again and again: is the verdict the same, to the last figure of the report?

    python benchmarks/verdicts.py [--times 100] [--processes 2] [--names flaky,chaotic] [--minutes 60] [--guarded]

Each file of tests/support/verdict_models.py is exported once, without a look at whether it is right, and verified
`--times` times, in processes started one after the other. A verdict is every field of the report: errors, limits,
reasons, layers. The files run in those same processes, in whose memory earlier runs have left something; with
`--guarded`, as `verify` runs them, in a new process each time.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))


def verdict(model, path, given):
    """The hash of a report, its outcome in short, and its text."""
    from keras_norms.export import ExportError, VerificationError, verify

    try:
        report = verify(model, path, **given)
        text, outcome = report.to_json(), "ok" if report.ok else report.failure()[:100]
    except (ExportError, VerificationError) as error:
        text = outcome = str(error)[:100]
    return hashlib.sha256(text.encode()).hexdigest(), outcome, text


def work():
    """Read (name, folder, times) line by line; write the hash and the outcome of each verdict."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    from norm_mutants import verified_here
    from verdict_models import prepared

    for line in sys.stdin:
        name, folder, times, guarded = json.loads(line)
        model, path, given = prepared(name, Path(folder))
        for _ in range(times):
            with nullcontext() if guarded else verified_here():
                digest, outcome, text = verdict(model, path, given)
            answers.write(json.dumps([digest, outcome, text]) + "\n")
            answers.flush()
        answers.write("\n")
        answers.flush()


def verdicts(name, folder, times, guarded):
    process = subprocess.Popen(
        [sys.executable, __file__, "--work"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.stdin.write(json.dumps([name, folder, times, guarded]) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if not line.strip():
            break
        yield json.loads(line)
    process.stdin.close()
    process.wait()


def changed_fields(texts):
    """Which fields of two reports differ."""
    try:
        a, b = map(json.loads, texts)
    except ValueError:
        return "all"
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return "all"
    return ", ".join(name for name in a if a[name] != b.get(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--names")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--guarded", action="store_true")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        return work()
    from verdict_models import FILES

    names, end = given.names.split(",") if given.names else list(FILES), time.time() + 60 * given.minutes
    print("| file | verifications | verdicts | reports | outcome |\n|---|---|---|---|---|")
    for name in names:
        if time.time() > end:
            print(f"{name}: no time left")
            continue
        seen, reports, outcomes = 0, {}, Counter()
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(given.processes):
                for digest, outcome, text in verdicts(name, folder, given.times // given.processes, given.guarded):
                    seen += 1
                    reports.setdefault(digest, text)
                    outcomes[outcome] += 1
        differs = f" (differ in: {changed_fields(list(reports.values())[:2])})" if len(reports) > 1 else ""
        told = " / ".join(outcomes).replace("|", "/")
        print(f"| {name} | {seen} | {len(outcomes)} | {len(reports)}{differs} | {told} |", flush=True)
    return None


if __name__ == "__main__":
    main()
