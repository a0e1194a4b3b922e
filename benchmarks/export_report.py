"""Models, our artifacts and Keras' own: size, operations, transposes, error and latency, as Markdown and HTML.

    python benchmarks/export_report.py [NAME ...] [--out DIR] [--only make|time|page] [--rounds 15] [--threads 1]

Each model leaves `NAME.json` in DIR, and `report.md` and `report.html` are made from all that lie there: name some
models to run in pieces. `make` exports, `time` measures what was exported (on a quiet machine), `page` writes the
reports. Weights and statistics are random; batch 1; an error is the largest on any input that `verify` tries, as a
share of the output's scale.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from exported_norms import resnet50
from keras_norms.export import to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from keras_norms.export.report import chart, html
from runtimes import runner

L = keras.layers
EXPORTS = {".tflite": (to_tflite, "litert"), ".onnx": (to_onnx, "onnx")}
TRANSPOSES = ("TRANSPOSE", "Transpose")


def group_norm():
    return L.GroupNormalization(16)


def unet(size=128, channels=(16, 32, 64)):
    """Contracting and expanding convolutions with group norm and skips."""

    def block(x, filters):
        for _ in range(2):
            x = L.ReLU()(group_norm()(L.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
        return x

    x = inputs = keras.Input((size, size, 3), name="image")
    skips = []
    for filters in channels:
        x = block(x, filters)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    x = block(x, 2 * channels[-1])
    for filters, skip in zip(reversed(channels), reversed(skips), strict=True):
        x = L.Conv2DTranspose(filters, 2, 2)(x)
        x = block(L.Concatenate()([x, skip]), filters)
    return keras.Model(inputs, L.Conv2D(4, 1, name="mask")(x), name="unet")


class Tokens(L.Layer):
    """Adds a learned position to each patch."""

    def build(self, shape):
        self.position = self.add_weight(shape=shape[1:], initializer="random_normal", name="position")

    def call(self, x):
        return x + self.position


def vit(size=96, patch=8, width=192, blocks=12, heads=3):
    """A vision transformer of the tiny kind: layer norm, attention, exact GELU."""
    inputs = keras.Input((size, size, 3), name="image")
    x = L.Conv2D(width, patch, patch)(inputs)
    x = Tokens()(L.Reshape((-1, width))(x))
    for _ in range(blocks):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([x, L.MultiHeadAttention(heads, width // heads)(y, y)])
        y = L.Dense(4 * width, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([x, L.Dense(width)(y)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, L.Dense(100, name="logits")(x), name="vit")


def application(name, size, **options):
    make = getattr(keras.applications, name)
    return lambda: make(weights=None, input_shape=(size, size, 3), classes=100, classifier_activation=None, **options)


MODELS = {
    "MobileNetV2-160": application("MobileNetV2", 160),
    "MobileNetV3Small-160": application("MobileNetV3Small", 160),
    "EfficientNetB0-128": application("EfficientNetB0", 128),
    "ConvNeXtTiny-96": application("ConvNeXtTiny", 96),
    "ResNet50GN-128": lambda: resnet50(group_norm, 128),
    "UNetGN-128": unet,
    "ViT12-96": vit,
}


def randomized(model):
    """Statistics and gammas as after training, rather than those that change nothing."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[-1], tuple(weight.shape)
        if name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0.0, 0.1, shape))
    return model


def build(name):
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    return randomized(MODELS[name]())


def make(name, folder):
    """Export a model to both formats, ours and Keras' way, and note all but the time."""
    model = build(name)
    image = np.zeros((1, *model.inputs[0].shape[1:]), "float32")
    model(image)
    rows = []
    for suffix, (ours, theirs) in EXPORTS.items():
        for who in ("ours", "Keras"):
            path = folder / f"{name}-{who}{suffix}"
            row = {"who": who, "suffix": suffix, "file": path.name}
            start = time.perf_counter()
            try:
                if who == "ours":
                    ours(model, path, batch_size=1)
                else:
                    model.export(str(path), format=theirs, verbose=False)
                row["seconds"] = time.perf_counter() - start
                ops = format_of(path).op_counts(path)
                row["size"], row["ops"] = path.stat().st_size, sum(ops.values())
                row["transposes"] = sum(ops.get(op, 0) for op in TRANSPOSES)
                row["error"] = verify(model, path).relative
            except Exception as error:  # that Keras' export refuses some models is a finding
                row["failure"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
            rows.append(row)
            print(f"{name} {who} {suffix}: {row.get('failure') or 'exported'}", flush=True)
    size = list(model.inputs[0].shape[1:])
    record = {"name": name, "parameters": model.count_params(), "input": size, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2))


def measure(name, folder, rounds, threads):
    """Median milliseconds of one inference of each artifact and of the model itself, taking turns."""
    record = json.loads((folder / f"{name}.json").read_text())
    model = build(name)
    compiled = tf.function(lambda x: model(x, training=False))
    image = np.random.default_rng(0).normal(size=(1, *record["input"])).astype("float32")
    tensor = tf.constant(image)
    calls = {"model": lambda: compiled(tensor)}
    for row in record["rows"]:
        if "size" in row and "failure" not in row:
            artifact = runner(folder / row["file"], threads)
            feed = {artifact.inputs[0].name: image}
            calls[row["file"]] = lambda artifact=artifact, feed=feed: artifact.run(feed)
    times = {key: [] for key in calls}
    for warm in (True, *[False] * rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            if not warm:
                times[key].append(1e3 * (time.perf_counter() - start))
    record["keras_ms"] = float(np.median(times["model"]))
    record["circumstances"] = f"{platform.machine()}, {threads} thread{'s'[: threads > 1]}, Keras {keras.__version__}"
    for row in record["rows"]:
        if row["file"] in times:
            row["ms"] = float(np.median(times[row["file"]]))
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2))
    print(f"{name}: timed, Keras {record['keras_ms']:.1f} ms", flush=True)


COLUMNS = ("model", "file", "MB", "operations", "transposes", "error", "ms", "ours / Keras'")


def table(records):
    """One row an artifact, and one for the model in Keras."""
    rows = []
    for record in records:
        if "keras_ms" in record:
            rows.append((record["name"], "Keras model", *[""] * 4, f"{record['keras_ms']:.1f}", ""))
        by_key = {(row["who"], row["suffix"]): row for row in record["rows"]}
        for row in record["rows"]:
            label = f"{row['suffix']}, {'ours' if row['who'] == 'ours' else 'Keras export'}"
            other = by_key[("Keras", row["suffix"])]
            ratio = row["ms"] / other["ms"] if row["who"] == "ours" and "ms" in row and "ms" in other else None
            cells = (
                f"{row['size'] / 1e6:.1f}" if "size" in row else "",
                row.get("ops", ""),
                row.get("transposes", ""),
                f"{row['error']:.0e}" if "error" in row else "fails" if "failure" in row else "",
                f"{row['ms']:.1f}" if "ms" in row else "",
                "" if ratio is None else f"{ratio:.2f}",
            )
            rows.append((record["name"], label, *cells))
    return rows


def failures(records):
    return [
        (r["name"], f"{row['suffix']}, {row['who']}", row["failure"])
        for r in records
        for row in r["rows"]
        if "failure" in row
    ]


def page(folder):
    """report.md and report.html from every record in the folder, in the order of MODELS."""
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    records = [found[name] for name in MODELS if name in found]
    rows, failed = table(records), failures(records)
    circumstances = next((r["circumstances"] for r in records if "circumstances" in r), "not timed")
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"  # noqa: E731
    markdown = [line(COLUMNS), "|" + "---|" * len(COLUMNS), *map(line, rows), "", f"Batch 1, {circumstances}.", ""]
    markdown += [f"- {name}, {file}: {text}" for name, file, text in failed]
    (folder / "report.md").write_text("\n".join(markdown).rstrip() + "\n")
    parts = []
    for suffix, runtime in ((".tflite", "LiteRT"), (".onnx", "ONNX Runtime")):
        groups = {}
        for record in records:
            timed = {row["who"]: row["ms"] for row in record["rows"] if row["suffix"] == suffix and "ms" in row}
            groups[record["name"]] = {
                "keras-norms": timed.get("ours", 0.0),
                "Keras' export": timed.get("Keras", 0.0),
                "Keras model": record.get("keras_ms", 0.0),
            }
        parts.append(chart.bar_chart(f"One inference in {runtime}", "milliseconds", groups))
    sections = [
        html.section("Latency", f"Batch 1, {circumstances}; medians.", f'<div class="charts">{"".join(parts)}</div>'),
        html.section("Every artifact", "", html.table("Artifacts", COLUMNS, rows, text=(1,))),
    ]
    if failed:
        sections.append(
            html.section("What failed", "", html.table("Failures", ("model", "file", "why"), failed, text=(1, 2)))
        )
    lead = "Keras models exported by keras-norms and by Keras itself: size, operations, error and latency."
    (folder / "report.html").write_text(html.page("keras-norms export report", lead, sections))
    print(f"{folder / 'report.md'}, {folder / 'report.html'}: {len(records)} models")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(MODELS)}; all if none is given")
    parser.add_argument("--out", type=Path, default=Path("export-report"))
    parser.add_argument("--only", choices=["make", "time", "page"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    unknown = set(options.names) - set(MODELS)
    if unknown:
        parser.error(f"unknown models {sorted(unknown)}; there are {', '.join(MODELS)}")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or MODELS:
        if options.only in (None, "make"):
            make(name, options.out)
        if options.only in (None, "time"):
            measure(name, options.out, options.rounds, options.threads)
    page(options.out)


if __name__ == "__main__":
    main()
