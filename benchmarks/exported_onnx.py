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

SHAPES = ((56, 56, 256), (112, 112, 64), (28, 28, 512))
GROUPS = 32
FREE = 64  # the length of what has a free one
IN_A_TURN, MOST_ROUNDS = 4, 100
QUIET = 25  # percentile of the rounds: whatever else the machine does only adds to the others


def networks():
    """{name: (function that makes the model, whether Keras' export can do it)}"""
    import keras
    from exported_norms import group_norm, layer_model, resnet50

    layers = keras.layers

    def stack(shape, layer, count=6):
        x = inputs = keras.Input(shape, batch_size=1, name="x")
        for _ in range(count):
            x = layers.ReLU()(layers.BatchNormalization()(layer()(x)))
        return keras.Model(inputs, x)

    def unet(channels=16, size=128):
        def block(x, filters):
            for _ in range(2):
                x = layers.ReLU()(layers.GroupNormalization(8)(layers.Conv2D(filters, 3, padding="same")(x)))
            return x

        x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
        skips = []
        for depth in range(3):
            skips.append(block(x, channels << depth))
            x = layers.MaxPooling2D()(skips[-1])
        x = block(x, channels << 3)
        for depth in reversed(range(3)):
            x = layers.Conv2DTranspose(channels << depth, 2, 2)(x)
            x = block(layers.Concatenate()([x, skips[depth]]), channels << depth)
        return keras.Model(inputs, layers.Conv2D(2, 1)(x))

    def vit(gelu, width=192, depth=12, heads=3, size=224, patch=16):
        inputs = keras.Input((size, size, 3), batch_size=1, name="image")
        x = layers.Conv2D(width, patch, patch)(inputs)
        x = layers.Reshape((-1, width))(x)
        x = x + np.random.default_rng(0).normal(0, 0.02, (1, (size // patch) ** 2, width)).astype("float32")
        for _ in range(depth):
            y = layers.LayerNormalization(epsilon=1e-6)(x)
            x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(y, y)])
            y = layers.Dense(4 * width)(layers.LayerNormalization(epsilon=1e-6)(x))
            x = layers.Add()([x, layers.Dense(width)(gelu()(y))])
        return keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))))

    def exact():
        return layers.Activation("gelu")

    def tanh():
        return layers.Activation(tanh_gelu)

    def tanh_gelu(x):
        return keras.activations.gelu(x, approximate=True)

    def convnext(gelu):
        base = keras.applications.ConvNeXtTiny(weights=None, include_preprocessing=False, input_shape=(224, 224, 3))
        swap = lambda layer: (  # noqa: E731
            gelu() if isinstance(layer, layers.Activation) else layer.__class__.from_config(layer.get_config())
        )
        return keras.models.clone_model(base, clone_function=swap)

    def add(shape):
        inputs = [keras.Input(shape, batch_size=1, name=name) for name in "xy"]
        return keras.Model(inputs, layers.Add()(inputs))

    def channels_second(shape):
        inputs = keras.Input((shape[2], *shape[:2]), batch_size=1, name="x")
        return keras.Model(inputs, layers.GroupNormalization(GROUPS, axis=1)(inputs))

    def classifier(size=32, filters=(32, 64, 128)):
        """Like VGG: pairs of convolutions and a pool, flattened, two dense layers."""
        x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
        for count in filters:
            for _ in range(2):
                x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Dense(256, activation="relu")(layers.Dropout(0.5)(layers.Flatten()(x)))
        return keras.Model(inputs, layers.Dense(10)(x))

    def decoder(size=8, filters=(128, 64, 32)):
        inputs = keras.Input((64,), batch_size=1, name="code")
        x = layers.Reshape((size, size, 128))(layers.Dense(size * size * 128, activation="relu")(inputs))
        for count in filters:
            x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(count, 4, 2, "same")(x)))
        return keras.Model(inputs, layers.Conv2D(3, 3, padding="same", activation="tanh")(x))

    def super_resolution(size=64, factor=4):
        """Sub-pixel convolution: channels become pixels at the end."""
        x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
        for count, width in ((64, 5), (32, 3), (3 * factor**2, 3)):
            x = layers.Conv2D(count, width, padding="same", activation="relu")(x)
        x = layers.Reshape((size, size, factor, factor, 3))(x)
        x = layers.Reshape((size * factor, size * factor, 3))(layers.Permute((1, 3, 2, 4, 5))(x))
        return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x))

    def text(width=128, heads=4, depth=2):
        """A transformer over padded text of any length."""
        ids = keras.Input((None,), batch_size=1, dtype="int32", name="ids")
        x = layers.Embedding(1000, width, mask_zero=True)(ids)
        for _ in range(depth):
            y = layers.MultiHeadAttention(heads, width // heads)(x, x)
            x = layers.LayerNormalization()(layers.Add()([x, y]))
            y = layers.Dense(width)(layers.Dense(4 * width, activation="relu")(x))
            x = layers.LayerNormalization()(layers.Add()([x, y]))
        return keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))

    made = {}
    for shape in SHAPES:
        size = "x".join(map(str, shape))
        made[f"group norm {size}"] = (lambda shape=shape: layer_model(group_norm, shape), True)
        made[f"group norm {size}, axis=1"] = (lambda shape=shape: channels_second(shape), True)
        made[f"Add {size}"] = (lambda shape=shape: add(shape), False)
    return made | {
        "ResNet-50-GN": (lambda: resnet50(group_norm), True),
        "ResNet-50 without norms": (lambda: resnet50(layers.Identity), True),
        "U-Net-GN": (unet, True),
        "ConvNeXtTiny": (lambda: convnext(exact), False),
        "ConvNeXtTiny, GELU by tanh": (lambda: convnext(tanh), True),
        "ViT-Ti/16": (lambda: vit(exact), False),
        "ViT-Ti/16, GELU by tanh": (lambda: vit(tanh), True),
        "MobileNetV2": (lambda: keras.applications.MobileNetV2(weights=None), True),
        "MobileNetV3Small": (
            lambda: keras.applications.MobileNetV3Small(weights=None, input_shape=(224, 224, 3)),
            True,
        ),
        "CNN, flattened, dense": (classifier, True),
        "decoder, dense to images": (decoder, True),
        "super-resolution, pixel shuffle": (super_resolution, True),
        "text encoder with a mask": (text, True),
        "6 x Conv1D, BN, ReLU": (lambda: stack((1024, 64), lambda: layers.Conv1D(64, 5, padding="same")), True),
        "3 x Conv2DTranspose, BN, ReLU": (
            lambda: stack((14, 14, 64), lambda: layers.Conv2DTranspose(64, 2, 2), 3),
            True,
        ),
        "6 x Conv1D dilated, BN, ReLU": (
            lambda: stack((1024, 64), lambda: layers.Conv1D(64, 3, padding="causal", dilation_rate=4)),
            True,
        ),
        "6 x Dense, BN, ReLU": (lambda: stack((1024,), lambda: layers.Dense(1024)), True),
        "6 x Dense 256, BN, ReLU": (lambda: stack((256,), lambda: layers.Dense(256)), True),
        "6 x Dense over time, BN, ReLU": (lambda: stack((128, 256), lambda: layers.Dense(256)), True),
    }


def file_name(name, who):
    return f"{who}-{name.replace('/', '_').replace(' ', '_')}.onnx"


def make(folder, names):
    import keras
    from export_report import randomized
    from keras_norms.export import to_onnx

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
