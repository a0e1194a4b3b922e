"""Whole models and stacks as .onnx files in ONNX Runtime, ours against Keras' own export of the same model.

    python benchmarks/exported_onnx.py make FOLDER [NAME ...]
    python benchmarks/exported_onnx.py time FOLDER [NAME ...] [--threads 1] [--seconds 3]

`make` exports with random weights and statistics, at batch 1; `time` prints Markdown: transposes, the milliseconds that
each file stays below in the quietest quarter of the rounds, their ratio, and the quartiles of the ratios of all rounds.
The files take turns, in alternating order, so that a noisy machine disturbs all alike; each runs a few times in a turn,
after a pause in which the other's threads come to rest. Keras' export refuses the exact GELU, so the ConvNeXt and the
ViT are compared with its approximation by tanh, and timed exact too.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import onnxruntime

FREE = 64  # the length of what has a free one
IN_A_TURN, MOST_ROUNDS = 4, 100
QUIET = 25  # percentile of the rounds: whatever else the machine does only adds to the others


def file_name(name, who):
    return f"{who}-{name.replace('/', '_').replace(' ', '_')}.onnx"


def make(folder, names):
    import keras
    from export_report import randomized
    from keras_norms.export import to_onnx
    from onnx_networks import networks

    folder.mkdir(exist_ok=True)
    for name, (network, keras_can) in networks().items():
        if names and name not in names:
            continue
        keras.utils.set_random_seed(0)
        model = randomized(network())
        begin = time.time()
        report = to_onnx(model, folder / file_name(name, "ours"), batch_size=1)
        print(f"{name}: {time.time() - begin:.0f} s, error {report.verification.relative:.0e}", flush=True)
        if keras_can:
            model(np.zeros([n or 1 for n in model.inputs[0].shape], model.inputs[0].dtype))
            path = folder / file_name(name, "Keras")
            try:
                model.export(str(path), format="onnx", verbose=False)
                open_session(path, 1)
            except Exception as error:  # whatever its converter or the runtime raised
                path.unlink(missing_ok=True)
                print(f"Keras' export of {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)


def open_session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {}
    for x in session.get_inputs():
        sizes = [n if isinstance(n, int) else FREE if axis else 1 for axis, n in enumerate(x.shape)]
        whole = "int" in x.type
        feed[x.name] = (
            rng.integers(1, 1000, sizes).astype("int32") if whole else rng.normal(size=sizes).astype("float32")
        )
    return session, feed


def timed(paths, threads, rounds, seconds):
    """Milliseconds of each file, a row a round: the median of a few runs in a row, once the other's threads rest."""
    sessions = {who: open_session(path, threads) for who, path in paths.items()}
    times = {who: [] for who in paths}
    begin = time.perf_counter()
    while len(times["ours"]) < rounds or (time.perf_counter() - begin < seconds and len(times["ours"]) < MOST_ROUNDS):
        turn = list(sessions) if len(times["ours"]) % 2 else list(reversed(sessions))
        for who in turn:
            session, feed = sessions[who]
            time.sleep(0.01)
            took = []
            for _ in range(IN_A_TURN + 1):
                start = time.perf_counter()
                session.run(None, feed)
                took.append(1e3 * (time.perf_counter() - start))
            times[who].append(np.median(took[1:]))
    return {who: np.array(values) for who, values in times.items()}


def measure(folder, names, threads, rounds, seconds):
    header = "transposes: ours", "Keras'", "ms: ours", "Keras'", "ratio", "quartiles", "in Adds"
    print(f"| model, {threads} thread{'s' * (threads > 1)} | {' | '.join(header)} |")
    print("|---" * 8 + "|")
    found = {path.name for path in folder.glob("*.onnx")}
    from onnx_networks import networks  # imports Keras

    listed = [name for name in networks() if file_name(name, "ours") in found and (not names or name in names)]
    for name in [name for name in listed if not name.startswith("Add")]:
        paths = {who: folder / file_name(name, who) for who in ("ours", "Keras") if file_name(name, who) in found}
        nodes = {who: onnx.load(path, load_external_data=False).graph.node for who, path in paths.items()}
        transposes = {who: str(sum(node.op_type == "Transpose" for node in nodes[who])) for who in paths}
        add = file_name(name.partition(",")[0].replace("group norm", "Add"), "ours")
        if "group norm" in name and add in found:
            paths["Add"] = folder / add
        took = timed(paths, threads, rounds, seconds)
        usual = {who: np.percentile(values, QUIET) for who, values in took.items()}
        digits = 2 if usual["ours"] > 0.3 else 3
        cells = [transposes["ours"], transposes.get("Keras", ""), f"{usual['ours']:.{digits}f}"]
        if "Keras" in took:
            low, high = np.percentile(took["ours"] / took["Keras"], (25, 75))
            ratio = usual["ours"] / usual["Keras"]
            cells += [f"{usual['Keras']:.{digits}f}", f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"]
        else:
            cells += ["", "", ""]
        cells += [f"{usual['ours'] / usual['Add']:.1f}" if "Add" in took else ""]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["make", "time"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="more rounds than --rounds until then")
    options = parser.parse_args()
    if options.step == "make":
        make(options.folder, options.names)
    else:
        measure(options.folder, options.names, options.threads, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
