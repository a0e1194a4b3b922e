"""Folds every architecture of keras.applications, with random weights and statistics, gammas of both signs and zeros.

    python benchmarks/fold_zoo.py [NAME ...]

Prints one line each: batch norms, folded, the largest relative error of a fold, how far the outputs are apart, seconds
for clone_model + set_weights and for fold; then the reasons for those that stay, counted. Exits with 1 if an
architecture does not fold as many as it should or computes something else than before.
ConvNeXtXLarge takes 12 GiB.
"""

import collections
import gc
import os
import re
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras_norms.export.folding.fold import fold

# Architectures all of whose batch norms follow a convolution; for the others, how many do.
ALL = None
EXPECTED = {
    "ConvNeXtBase": 0,
    "ConvNeXtLarge": 0,
    "ConvNeXtSmall": 0,
    "ConvNeXtTiny": 0,
    "ConvNeXtXLarge": 0,
    "VGG16": 0,
    "VGG19": 0,
    "MobileNet": ALL,
    "MobileNetV2": ALL,
    "MobileNetV3Large": ALL,
    "MobileNetV3Small": ALL,
    "ResNet50": ALL,
    "ResNet101": ALL,
    "ResNet152": ALL,
    "Xception": ALL,
    "InceptionV3": ALL,
    "InceptionResNetV2": ALL,
    "NASNetMobile": ALL,
    "NASNetLarge": ALL,
    "ResNet50V2": 32,
    "ResNet101V2": 66,
    "ResNet152V2": 100,
    "DenseNet121": 59,
    "DenseNet169": 83,
    "DenseNet201": 99,
    **{f"EfficientNetB{i}": ALL for i in range(8)},
    **{f"EfficientNetV2{i}": ALL for i in ("B0", "B1", "B2", "B3", "S", "M", "L")},
}


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            if layer.gamma is not None:
                gamma = rng.normal(0.7, 0.7, shape)
                gamma.flat[0] = 0.0
                layer.gamma.assign(gamma)
            if layer.beta is not None:
                layer.beta.assign(rng.normal(0.0, 0.3, shape))
            layer.moving_mean.assign(rng.normal(0.0, 0.5, shape))
            layer.moving_variance.assign(rng.uniform(0.3, 3.0, shape))
    return model


def architectures():
    return [
        name
        for name in sorted(vars(keras.applications))
        if callable(getattr(keras.applications, name)) and re.match(r"[A-Z]", name)
    ]


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def measure(name):
    """Fold one architecture; whether it folded what it should and computes the same."""
    model = randomize(getattr(keras.applications, name)(weights=None))
    start = time.perf_counter()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone_seconds = time.perf_counter() - start
    del clone
    start = time.perf_counter()
    folded, report = fold(model)
    seconds = time.perf_counter() - start
    total = len(report.folded) + len(report.kept)
    size = [n or 224 for n in model.input_shape[1:]]
    x = np.random.default_rng(1).uniform(-1, 1, (1, *size)).astype("float32")
    a, b = outputs(model, x), outputs(folded, x)
    apart = float(np.max(np.abs(a - b)) / np.max(np.abs(a)))
    print(
        f"{name:20} {len(report.folded):4} of {total:4}  fold error {report.error:.1e}  outputs {apart:.1e}  "
        f"clone {clone_seconds:6.2f} s  fold {seconds:6.2f} s",
        flush=True,
    )
    for reason, count in collections.Counter(shape_of(k.reason) for k in report.kept).most_common():
        print(f"{'':20} {count:4} stay: {reason}")
    expected = EXPECTED.get(name, ALL)
    return apart < 1e-3 and len(report.folded) == (total if expected is ALL else expected)


def shape_of(reason):
    """A reason without the names in it, so that equal ones count together."""
    return re.sub(r"'[^' ]*'", "...", reason)


def main(names):
    wrong = []
    for name in names or architectures():
        if not measure(name):
            wrong.append(name)
        keras.utils.clear_session()
        gc.collect()
    if wrong:
        sys.exit(f"not what is expected: {', '.join(wrong)}")


if __name__ == "__main__":
    main(sys.argv[1:])
