"""Quantized TFLite files of ten networks: ours beside TensorFlow's converter and ai-edge-quantizer at its best recipe.

    python benchmarks/quantized_networks.py [NETWORK ...] --cache DIR [--only ours] [--time MODE ...] [--render]

Needs ai-edge-quantizer. `quantization_zoo.py` says what the networks are, `quantization_peers.py` what the others are
asked for. All files are calibrated on the same 64 training examples, with a batch of one, and judged on 64 others: dB
is the signal to quantization noise of the output, against the Keras model in float32; kilobytes; milliseconds in LiteRT
on one thread, medians of runs of all files of a network in turns. Of AEQ's recipes the one with the most dB on these
others is taken, which favours it.

Trained weights are kept in DIR. Results go to `quantized_networks.json`, and from there into the table in `README.md`
(`--render` does only that). `--only ours` measures our files alone again, `--time` only times files again.
"""

import argparse
import importlib.metadata
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from keras_norms.export import to_tflite
from quantization_peers import PEERS, Peers, in_one_line
from quantization_zoo import ZOO, right, trained
from quantized_norms import decibels
from runtimes import runner
from written_tables import write

HERE = Path(__file__).parent
JSON, PAGE = HERE / "quantized_networks.json", HERE / "README.md"
OURS = {"int8": ("default",), "int16x8": ("default",), "dynamic": ("default", "calibrated")}
EXAMPLES = 64
PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "ai-edge-quantizer")


def by_us(model, mode, recipe, calibration, path):
    given = calibration if mode != "dynamic" or recipe == "calibrated" else None
    return list(to_tflite(model, path, quantize=mode, calibration=given, batch_size=1).warnings)


def judged(path, held_out, expected):
    """The dB of a file, and a function that runs it once."""
    file = runner(path)
    name = file.inputs[0].name
    got = np.concatenate([next(iter(file.run({name: x[None]}).values())) for x in held_out])
    return float(decibels(expected, got)), lambda: file.run({name: held_out[0][None]})


def one_network(name, cache, writers, rounds, work):
    """What is known of a network: its accuracy, and of each file dB, bytes, milliseconds, or why there is none."""
    model, train, test = trained(name, cache)
    calibration, held_out = train[0][:EXAMPLES], test[0][:EXAMPLES]
    expected, cells, runs = model.predict(held_out, verbose=0), [], []
    plain, weights = work / "float.tflite", work / "weights.npz"
    to_tflite(model, plain, batch_size=1)
    np.savez(weights, *model.get_weights())
    peers = Peers()
    asked = [("ours", None, "float32"), *((w, mode, r) for w in writers for mode, rs in writers[w].items() for r in rs)]
    for number, (writer, mode, recipe) in enumerate(asked):
        cell, path = {"writer": writer, "mode": mode, "recipe": recipe}, work / f"{number}.tflite"
        cells.append(cell)
        try:
            if mode is None:
                path = plain
            elif writer == "ours":
                cell["warnings"] = by_us(model, mode, recipe, calibration, path)
            else:
                cell["fails"] = peers.write(writer, name, weights, mode, recipe, calibration, plain, path)
            if path.is_file():
                cell["db"], run = judged(path, held_out, expected)
                cell["bytes"] = path.stat().st_size
                runs.append((cell, run))
        except Exception as error:  # whatever a writer or LiteRT raises
            cell["fails"] = in_one_line(error).replace(str(path), "the file")
        print(f"  {writer} {mode} {recipe}: {cell.get('db') or cell['fails']}", flush=True)
    peers.close()
    time_in_turns(runs, rounds)
    return {"parameters": model.count_params(), "right": right(model, test), "files": cells}


def timed_again(name, cache, known, modes, rounds, work):
    """Times of the float file, of ours and of each other's best recipe in `modes`, all made anew and run in turns."""
    model, train, _ = trained(name, cache)
    calibration, plain, weights = train[0][:EXAMPLES], work / "float.tflite", work / "weights.npz"
    to_tflite(model, plain, batch_size=1)
    np.savez(weights, *model.get_weights())
    asked = [("ours", mode, recipe) for mode in modes for recipe in OURS[mode]]
    asked += [(writer, mode, best(known, writer, mode)["recipe"]) for mode in modes for writer in PEERS]
    cells, runs, peers = {_key(cell): cell for cell in known["files"]}, [], Peers()
    for number, (writer, mode, recipe) in enumerate([("ours", None, "float32"), *asked]):
        path = work / f"{number}.tflite" if mode else plain
        if mode and writer == "ours":
            by_us(model, mode, recipe, calibration, path)
        elif mode and "db" in cells[writer, mode, recipe]:
            peers.write(writer, name, weights, mode, recipe, calibration, plain, path)
        if path.is_file():
            file = runner(path)
            feed = {file.inputs[0].name: calibration[:1]}
            runs.append((cells[writer, mode, recipe], lambda file=file, feed=feed: file.run(feed)))
    peers.close()
    time_in_turns(runs, rounds)


def time_in_turns(runs, rounds):
    times = [[] for _ in runs]
    for _ in range(rounds):
        for (_, run), taken in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    for (cell, _), taken in zip(runs, times, strict=True):
        cell["ms"] = float(1000 * np.median(taken))


def merged(known, name, found):
    """`found` in the place of what is known of the same files; other files' times in proportion to the float file's."""
    fresh = {_key(cell): cell for cell in found["files"]}
    kept = {_key(cell): cell for cell in known["networks"].get(name, {"files": []})["files"]}
    for key in kept.keys() - fresh.keys():
        if "ms" in kept[key]:
            kept[key]["ms"] *= fresh["ours", None, "float32"]["ms"] / kept["ours", None, "float32"]["ms"]
    found["files"] = list({**kept, **fresh}.values())
    known["networks"][name] = found


def _key(cell):
    return cell["writer"], cell["mode"], cell["recipe"]


def best(found, writer, mode):
    files = [cell for cell in found["files"] if (cell["writer"], cell["mode"]) == (writer, mode)]
    return max(files, key=lambda cell: cell.get("db", -1e9)) if files else {"fails": "not asked for"}


def shown(cell):
    if "db" not in cell:
        return "fails"
    return f"{cell['db']:.1f} / {cell['bytes'] / 1000:.0f} / {cell['ms']:.2f}"


def table(known):
    rows = ["| network | mode | ours | TensorFlow | AEQ | its recipe |", "|---|---|---|---|---|---|"]
    failures = {}
    for name in (name for name in ZOO if name in known["networks"]):
        found = known["networks"][name]
        rows.append(f"| {name}, {found['right']:.0f} % right | float32 | {shown(best(found, 'ours', None))} | | | |")
        for mode in OURS:
            theirs = [best(found, writer, mode) for writer in PEERS]
            for writer, cell in zip(PEERS, theirs, strict=True):
                if "db" not in cell:
                    failures.setdefault(f"{writer}, {mode}: {cell['fails']}", []).append(name)
            recipe = theirs[1]["recipe"] if "db" in theirs[1] else ""
            for ours in (c for c in found["files"] if (c["writer"], c["mode"]) == ("ours", mode)):
                title = mode if ours["recipe"] == "default" else f"{mode}, {ours['recipe']}"
                if "db" not in ours:
                    failures.setdefault(f"ours, {title}: {ours['fails']}", []).append(name)
                rows.append(f"| | {title} | {shown(ours)} | {' | '.join(map(shown, theirs))} | {recipe} |")
    return "\n".join([*rows, "", *(f"- {', '.join(names)}. {said}" for said, names in failures.items())]).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(ZOO), metavar="NETWORK", help=", ".join(map(repr, ZOO)))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", choices=["ours"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--time", nargs="*", choices=list(OURS), help="only time files of these modes again")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    known = json.loads(JSON.read_text()) if JSON.is_file() else {"networks": {}}
    if not options.render:
        options.cache.mkdir(parents=True, exist_ok=True)
        known["versions"] = {package: importlib.metadata.version(package) for package in PACKAGES}
        for name in options.networks:
            print(name, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                if options.time:
                    of_this = known["networks"][name]
                    timed_again(name, options.cache, of_this, options.time, options.rounds, Path(folder))
                    JSON.write_text(json.dumps(known, indent=1) + "\n")
                    continue
                writers = {"ours": OURS} if options.only else {"ours": OURS, **PEERS}
                merged(known, name, one_network(name, options.cache, writers, options.rounds, Path(folder)))
            JSON.write_text(json.dumps(known, indent=1) + "\n")
    write(PAGE, JSON.name, table(known))


if __name__ == "__main__":
    main()
