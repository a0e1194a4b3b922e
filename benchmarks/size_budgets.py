"""What a budget buys: weights in mixed widths beside the fixed modes, with 4 bits and without, on held-out data.

    python benchmarks/size_budgets.py [NETWORK ...] [--formats .tflite .onnx] [--cache FOLDER]
    python benchmarks/size_budgets.py --render       README.md's table, from size_budgets.json, which the first fills

For each network of `quantization_zoo.py` and each format: the fixed modes, and at the bytes of each of them, and at
shares of the bytes of int8, the most exact file of mixed widths. Ratios are of the logits on examples that no rounding
has seen; the search sees calibration data alone.
"""

import argparse
import json
import tempfile
from pathlib import Path

from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.budget.spend import Spending
from keras_norms.export.budget.trials import Trials
from keras_norms.export.errors import ExportError, VerificationError
from keras_norms.export.formats import format_of
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.quantization.budget import Budget
from quantization_zoo import ZOO, right, trained
from written_tables import write

NETWORKS = ("ResNet, batch norm", "ResNet, group norm", "MobileNetV3-Small", "ViT", "text encoder, padded", "GRU")
FIGURES = Path(__file__).with_suffix(".json")
EXPORTS = {".tflite": (to_tflite, {}), ".onnx": (to_onnx, {"opset": 21})}
SHARES = (0.9, 0.8, 0.7, 0.6)
CALIBRATION = 128


class Narrower:
    """`StoredWeights` without some widths."""

    def __init__(self, weights, without):
        self._weights = weights
        self.weights = tuple(
            type(w)(w.layer, w.name, w.shape, tuple(b for b in w.bits if b not in without)) for w in weights.weights
        )
        self.write = weights.write


def one_network(name, suffix, cache, folder):
    model, train, test = trained(name, cache)
    export, options = EXPORTS[suffix]
    if name == "GRU" and suffix == ".tflite":
        options = {**options, "batch_size": 1}
    calibration, held_out = train[0][:CALIBRATION], test[0]
    path = folder / f"floats{suffix}"
    export(model, path, **options)
    form, facts = format_of(path), ModelFacts.of(model, options.get("batch_size"))
    judge = Trials.of(form, facts, [held_out])
    row = {"float32": path.stat().st_size, "right": right(model, test), "modes": {}, "mixed": {}, "without 4": {}}
    for mode in (mode for mode in form.modes if mode != "auto"):
        target = folder / f"{mode}{suffix}"
        try:
            export(
                model,
                target,
                quantize=mode,
                calibration=calibration,
                **{**options, "opset": None} if suffix == ".onnx" else options,
            )
            row["modes"][mode] = [target.stat().st_size, judge.db(target)]
        except (ExportError, VerificationError) as error:
            row["modes"][mode] = str(error)
    made = {mode: found for mode, found in row["modes"].items() if not isinstance(found, str)}
    budgets = {mode: found[0] for mode, found in made.items()}
    least = min(size for size, _ in made.values())
    budgets |= {f"{share:.0%} of the smallest": int(share * least) for share in SHARES}
    trials = Trials.of(form, facts, [calibration])
    weights = form.stored_weights(path, [[x[None]] for x in calibration], facts.layer_names, lambda _: None)
    for kind, without in (("mixed", ()), ("without 4", (4,))):
        (inside := folder / kind.replace(" ", "")).mkdir()
        spending = Spending(Narrower(weights, without), trials, inside / path.name)
        for asked, size in budgets.items():
            row[kind][asked] = best(spending, Budget(max_bytes=size), judge, inside / f"best{suffix}")
    return row


def best(spending, budget, judge, target):
    """Bytes and ratio on held-out data of the most exact file within the budget; None if there is none."""
    spending.look_for(budget)
    fitting = [tried for tried in spending.tried if budget.allows(tried.point.size_bytes, tried.point.sqnr_db)]
    if not fitting:
        return None
    spending.write(max(fitting, key=lambda tried: tried.point.sqnr_db), target)
    return [target.stat().st_size, judge.db(target)]


def table(rows):
    """Kilobytes and decibels of each mode, and of mixed widths at its bytes; then of shares of the smallest mode."""
    modes, shares = ("int8", "dynamic", "int16x8", "float16"), [f"{share:.0%} of the smallest" for share in SHARES]
    header = ["network", "file", *modes, *(share.removesuffix(" of the smallest") for share in shares)]
    lines = [header, ["---"] * len(header)]
    for key, row in rows.items():
        at_modes = [_beside(row["modes"].get(mode), row["mixed"].get(mode)) for mode in modes]
        below = [
            "-" if found is None else f"{found[0] / 1000:.0f}: {found[1]:.1f}"
            for found in map(row["mixed"].get, shares)
        ]
        lines.append([*key.rsplit(" ", 1), *at_modes, *below])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _beside(fixed, mixed):
    if not isinstance(fixed, list):
        return ""
    return f"{fixed[0] / 1000:.0f}: {fixed[1]:.1f}, {'-' if mixed is None else format(mixed[1], '.1f')}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK", help=", ".join(map(repr, ZOO)))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--formats", nargs="+", choices=list(EXPORTS), default=list(EXPORTS))
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    rows = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    for name in () if options.render else options.networks:
        for suffix in options.formats:
            with tempfile.TemporaryDirectory() as folder:
                rows[f"{name} {suffix}"] = one_network(name, suffix, options.cache or Path(folder), Path(folder))
            FIGURES.write_text(json.dumps(rows, indent=1, default=float) + "\n")
    write(FIGURES.with_name("README.md"), FIGURES.name, table(rows))


if __name__ == "__main__":
    main()
