"""What 25 patterns of a layer and a batch norm leave in exported artifacts, ours beside Keras' own export.

    python benchmarks/fold_patterns.py [PATTERN ...] [--format tflite|onnx]

Each pattern is a network of batch 1 with one batch norm (one has two). Counted are the operations of the .tflite file,
and of the .onnx file after ONNX Runtime's extended optimizations, beyond those that the layers themselves need, which
stand in the table below. Transposes between Keras' layout and ONNX's are no arithmetic and are left out; a network has
at most two of ours. The last two patterns cannot be folded exactly.
"""

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras_norms.export import to_onnx, to_tflite

L = keras.layers
BN = L.BatchNormalization
IMAGE, SERIES, VOLUME = (12, 12, 8), (12, 8), (6, 6, 6, 4)


def chain(shape, *layers):
    x = inputs = keras.Input(shape, batch_size=1, name="x")
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def merged(merge):
    inputs = keras.Input(IMAGE, batch_size=1, name="x")
    return keras.Model(inputs, BN()(merge([L.Conv2D(8, 3)(inputs), L.Conv2D(8, 3)(inputs)])))


def pattern(shape, *layers):
    return lambda: chain(shape, *(layer() for layer in layers))


def conv(*args, **options):
    return lambda: L.Conv2D(8, 3, *args, **options)


# name: (network, what its layers need in TFLite, what they need in ONNX)
PATTERNS = {
    "Conv2D": (pattern(IMAGE, conv(), BN), "CONV_2D", "Conv"),
    "Conv2D, ReLU": (pattern(IMAGE, conv(), BN, L.ReLU), "CONV_2D", "Conv"),
    "DepthwiseConv2D": (pattern(IMAGE, lambda: L.DepthwiseConv2D(3), BN), "DEPTHWISE_CONV_2D", "Conv"),
    "SeparableConv2D": (pattern(IMAGE, lambda: L.SeparableConv2D(8, 3), BN), "DEPTHWISE_CONV_2D CONV_2D", "2Conv"),
    "Conv2D, BN, BN": (pattern(IMAGE, conv(), BN, BN), "CONV_2D", "Conv"),
    # TFLite has no convolution of one dimension: a series is an image one row high.
    "Conv1D": (pattern(SERIES, lambda: L.Conv1D(8, 3), BN), "2RESHAPE CONV_2D", "Conv"),
    "Conv3D": (pattern(VOLUME, lambda: L.Conv3D(8, 3), BN), "CONV_3D", "Conv"),
    "Conv2DTranspose": (pattern(IMAGE, lambda: L.Conv2DTranspose(8, 3, 2), BN), "TRANSPOSE_CONV", "ConvTranspose"),
    "Conv1DTranspose": (
        pattern(SERIES, lambda: L.Conv1DTranspose(8, 3, 2), BN),
        "2RESHAPE TRANSPOSE_CONV",
        "ConvTranspose",
    ),
    "Conv2D, dilated, same": (pattern(IMAGE, conv(dilation_rate=2, padding="same"), BN), "CONV_2D", "Conv"),
    "Conv2D, groups=4": (pattern(IMAGE, conv(groups=4), BN), "CONV_2D", "Conv"),
    "Dense, rank 2": (pattern((8,), lambda: L.Dense(8), BN), "FULLY_CONNECTED", "Gemm"),
    # In the .onnx file MatMul and Add; of these ONNX Runtime makes a Gemm between two reshapes.
    "Dense, rank 3": (pattern(SERIES, lambda: L.Dense(8), BN), "FULLY_CONNECTED", "2Reshape Gemm"),
    "BN, Conv2D valid": (pattern(IMAGE, BN, conv()), "CONV_2D", "Conv"),
    "BN, Dense": (pattern((8,), BN, lambda: L.Dense(8)), "FULLY_CONNECTED", "Gemm"),
    "GlobalAveragePooling2D, BN, Dense": (
        pattern(IMAGE, L.GlobalAveragePooling2D, BN, lambda: L.Dense(8)),
        "MEAN FULLY_CONNECTED",
        "ReduceMean Gemm",
    ),
    "Flatten, BN, Dense": (
        pattern(IMAGE, L.Flatten, BN, lambda: L.Dense(8)),
        "RESHAPE FULLY_CONNECTED",
        "Reshape Gemm",
    ),
    "Conv2D, AveragePooling2D, BN": (
        pattern(IMAGE, conv(), lambda: L.AveragePooling2D(2), BN),
        "CONV_2D AVERAGE_POOL_2D",
        "Conv AveragePool",
    ),
    "Conv2D, MaxPooling2D, BN": (
        pattern(IMAGE, conv(), lambda: L.MaxPooling2D(2), BN),
        "CONV_2D MAX_POOL_2D",
        "Conv MaxPool",
    ),
    "Conv2D, UpSampling2D, BN": (
        pattern(IMAGE, conv(), L.UpSampling2D, BN),
        "CONV_2D RESIZE_NEAREST_NEIGHBOR",
        "Conv Resize",
    ),
    "Conv2D(relu), BN, Conv2D valid": (pattern(IMAGE, conv(activation="relu"), BN, conv()), "2CONV_2D", "2Conv"),
    "Concatenate of Conv2D, BN": (lambda: merged(L.Concatenate()), "2CONV_2D CONCATENATION", "2Conv Concat"),
    "Add of Conv2D, BN": (lambda: merged(L.Add()), "2CONV_2D ADD", "2Conv Add"),
    "BN, Conv2D same": (pattern(IMAGE, BN, conv(padding="same")), "CONV_2D", "Conv"),
    "BN, ReLU, Conv2D": (pattern(IMAGE, BN, L.ReLU, conv()), "CONV_2D RELU", "Conv Relu"),
}


def randomize(model):
    """Statistics and weights off their initial values: positive scales, so that a maximum may be folded through."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = weight.path.endswith(("gamma", "moving_variance"))
        weight.assign(rng.uniform(0.5, 2.0, weight.shape) if positive else rng.normal(0.0, 0.5, weight.shape))
    return model


def counted(text):
    """A count of operations as it is written in the table: '2Conv Add'."""
    counts = Counter()
    for word in text.split():
        digits = len(word) - len(word.lstrip("0123456789"))
        counts[word[digits:]] += int(word[:digits] or 1)
    return counts


# One operation by several names; an activation that came into a convolution is no operation.
SAME = {"FusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul", "GlobalAveragePool": "ReduceMean"}
SAME |= {"Squeeze": "Reshape", "Unsqueeze": "Reshape", "Flatten": "Reshape", "SQUEEZE": "RESHAPE"}
SAME |= {"EXPAND_DIMS": "RESHAPE"}


def leftovers(counts, needed):
    """What an artifact has beyond what its layers need, as a text: empty for a clean one."""
    found = Counter()
    for op, count in counts.items():
        found[SAME.get(op, op)] += count
    left = found - counted(needed)
    return ", ".join(f"{count} {op}" if count > 1 else op for op, count in sorted(left.items()))


def tflite_ops(path):
    from keras_norms.export.formats.tflite.op_facts import op_counts

    return op_counts(path)


def onnx_ops(path):
    """The operations that are left after ONNX Runtime's extended optimizations, without the layout's transposes."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".optimized.onnx"))
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    return Counter(node.op_type for node in nodes if node.op_type != "Transpose")


FORMATS = {"tflite": (to_tflite, "litert", tflite_ops), "onnx": (to_onnx, "onnx", onnx_ops)}


def ours(name, kind, folder):
    """What our export of a pattern leaves."""
    network, *needed = PATTERNS[name]
    export, _, ops = FORMATS[kind]
    path = folder / f"ours.{kind}"
    export(randomize(network()), path)
    return leftovers(ops(path), needed[kind == "onnx"])


def keras_own(name, kind, folder):
    """What Keras' export leaves."""
    network, *needed = PATTERNS[name]
    _, format_name, ops = FORMATS[kind]
    path, model = folder / f"keras.{kind}", randomize(network())
    model(np.zeros(model.inputs[0].shape, "float32"))
    try:
        model.export(str(path), format=format_name, verbose=False)
        return leftovers(ops(path), needed[kind == "onnx"])
    except Exception as error:  # whatever its converter or the runtime raised
        return f"fails: {type(error).__name__}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", default=list(PATTERNS), metavar="PATTERN")
    parser.add_argument("--format", choices=FORMATS, action="append")
    options = parser.parse_args()
    formats = options.format or list(FORMATS)
    columns = [(kind, who) for kind in formats for who in ("ours", "Keras'")]
    print("| pattern | " + " | ".join(f"{kind}, {who}" for kind, who in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    clean = Counter()
    with tempfile.TemporaryDirectory() as work:
        for name in options.patterns:
            cells = []
            for kind, who in columns:
                left = (ours if who == "ours" else keras_own)(name, kind, Path(work))
                clean[kind, who] += not left
                cells.append(left or "clean")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    totals = [f"{clean[column]} of {len(options.patterns)}" for column in columns]
    print("| **clean** | " + " | ".join(totals) + " |")


if __name__ == "__main__":
    main()
