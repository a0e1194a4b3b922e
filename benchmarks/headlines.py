"""The six figures of the README, from files that other benchmarks write: a table, and a picture.

    python benchmarks/headlines.py [--measure]     writes README.md's table and benchmarks/headlines.svg

Each figure is ours divided by that of the peer it names. `--measure` first runs the two benchmarks of time, on a quiet
machine, and keeps their figures in benchmarks/timed.json; the other figures are those of evidence.json,
quantized_networks.json and size_budgets.json.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from written_tables import write

ROOT = Path(__file__).parents[1]
HERE, README, PICTURE = ROOT / "benchmarks", ROOT / "README.md", ROOT / "benchmarks" / "headlines.svg"
TIMED = HERE / "timed.json"
PLACE = "written by: python benchmarks/headlines.py"


@dataclass(frozen=True)
class Figure:
    """What is compared, ours divided by the peer's, both in words, and the section that has the whole table."""

    what: str
    ratio: float
    figures: str
    section: str


def figures():
    """The six, in the order of the table."""
    timed, evidence, quantized, sizes = (
        json.loads((HERE / name).read_text())
        for name in ("timed.json", "evidence.json", "quantized_networks.json", "size_budgets.json")
    )
    models = "a-set-of-models-python-benchmarksexport_reportpy-name----out-dir"
    return [
        _of_two(
            "training step of a batch norm layer",
            *timed["layer"],
            "ms, Keras' layer",
            "speed-python-benchmarkslayer_speedpy",
        ),
        _of_two(
            "U-Net with group norms in LiteRT", *timed["models"]["UNetGN-128 .tflite"], "ms, Keras' export", models
        ),
        _of_two(
            "ResNet-50 with group norms in ONNX Runtime",
            *timed["models"]["ResNet50GN-128 .onnx"],
            "ms, Keras' export",
            models,
        ),
        _wrong(evidence),
        _noise(quantized["networks"]),
        _bytes(quantized["networks"], sizes),
    ]


def _of_two(what, ours, peer, unit, section):
    return Figure(what, ours / peer, f"{ours:.3g} / {peer:.3g} {unit}", section)


def _wrong(rows):
    """Wrong test samples after training on batches of 2, to those of batch norm, as a geometric mean over settings."""
    found = {}
    for row in rows:
        setting = row["setting"]
        if row["chosen"] and setting["batches"].startswith("2 ") and not {"share", "scale"} & set(setting):
            wrong = [100 - run["test"][-1] for run in row["runs"]]
            found.setdefault((setting["task"], setting["batches"]), {})[setting["norm"]] = sum(wrong) / len(wrong)

    def to_batch_norm(norm):
        return math.exp(sum(math.log(norms[norm] / norms["BN"]) for norms in found.values()) / len(found))

    others = {"GN": "group norm", "LN": "layer norm", "none": "no norm"}
    told = ", ".join(f"{name} {_short(to_batch_norm(norm))}" for norm, name in others.items())
    return Figure(
        "test samples wrong after batches of 2, batch renorm",
        to_batch_norm("BRN"),
        f"mean of {len(found)} trainings, batch norm; {told}",
        "evidence-python-benchmarksevidencepy---out-benchmarks",
    )


def _short(ratio):
    return f"{ratio:.2f}".removeprefix("0")


def _int8(network, writer):
    """The default int8 file of a writer; None where it has none."""
    found = [file for file in network["files"] if file["writer"] == writer and file["mode"] == "int8" and "db" in file]
    return next((file for file in found if file["recipe"] == "default"), None)


def _pairs(networks):
    pairs = {name: (_int8(network, "ours"), _int8(network, "TensorFlow")) for name, network in networks.items()}
    return {name: pair for name, pair in pairs.items() if None not in pair}


def _noise(networks):
    """The noise's amplitude, as a geometric mean over networks."""
    gains = [ours["db"] - theirs["db"] for ours, theirs in _pairs(networks).values()]
    gain = sum(gains) / len(gains)
    told = f"{gain:+.1f} dB, mean of {len(gains)} networks, TensorFlow's converter"
    section = "quantized-networks-python-benchmarksquantized_networkspy-network----cache-dir"
    return Figure("noise of the outputs of int8 files", 10 ** (-gain / 20), told, section)


def _bytes(networks, sizes):
    """The smallest file of a budget that is as exact as TensorFlow's int8 file, as a geometric mean over networks."""
    logs = []
    for name, (_, theirs) in _pairs(networks).items():
        tried = [found for found in sizes.get(f"{name} .tflite", {}).get("mixed", {}).values() if found]
        enough = [size for size, db in tried if db >= theirs["db"]]
        if enough:
            logs.append(math.log(min(enough) / theirs["bytes"]))
    told = f"mean of {len(logs)} networks, TensorFlow's converter in int8"
    section = "what-a-budget-buys-python-benchmarkssize_budgetspy"
    return Figure(
        'bytes of a `quantize="auto"` file as exact as the peer\'s', math.exp(sum(logs) / len(logs)), told, section
    )


def table(rows):
    lines = ["| | ours / the peer's | figures, peer |", "|---|---|---|"]
    lines += [
        f"| {row.what} | {_short(row.ratio)} | [{row.figures}](benchmarks/README.md#{row.section}) |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def draw(rows, path):
    """A bar for each figure, up to the peer's at 1."""
    from matplotlib import style
    from matplotlib.figure import Figure as Sheet

    with style.context(["default", {"svg.hashsalt": "keras-norms", "font.size": 10.0, "svg.fonttype": "path"}]):
        sheet = Sheet(figsize=(8, 2.7), layout="constrained", facecolor="white")
        axes = sheet.subplots()
        for i, row in enumerate(rows):
            axes.barh(i, 1.0, color="0.88")
            axes.barh(i, row.ratio, color="#2166ac")
            axes.annotate(_short(row.ratio), (row.ratio, i), (4, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(rows)), [row.what.replace("`", "") for row in rows])
        axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.6), xlabel="ours / the peer's, which is the grey bar")
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        sheet.savefig(path, metadata={"Date": None})


def measure():
    """Times of a layer and of two models, from the benchmarks of time."""
    with tempfile.TemporaryDirectory() as folder:
        speed, out = Path(folder) / "speed.json", Path(folder) / "models"
        layer = ["layer_speed.py", "--shape", "32,56,56,64", "--only", "batch", "--json", str(speed)]
        for command in (layer, ["export_report.py", "UNetGN-128", "ResNet50GN-128", "--out", str(out)]):
            subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=True)
        ms = {figure["layer"]: figure["ms"] for figure in json.loads(speed.read_text())["figures"]}
        models = {}
        for name in ("UNetGN-128", "ResNet50GN-128"):
            for row in json.loads((out / f"{name}.json").read_text())["rows"]:
                models.setdefault(f"{name} {row['suffix']}", {})[row["who"]] = row.get("ms")
    pairs = {key: [found["ours"], found["Keras"]] for key, found in models.items()}
    TIMED.write_text(json.dumps({"layer": [ms["BN"], ms["Keras BN"]], "models": pairs}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    rows = figures()
    write(README, PLACE, table(rows))
    draw(rows, PICTURE)
    print(table(rows))


if __name__ == "__main__":
    main()
