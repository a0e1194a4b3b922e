"""What folding costs against clone_model + set_weights: seconds, peak memory, and growth with depth.

    python benchmarks/fold_cost.py [MODEL or DEPTH ...]

Each line is measured in a process of its own; memory is what the process's peak grew by, in units of the weights.
"""

import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ARCHITECTURES = ("MobileNetV2", "ResNet50", "ResNet152", "EfficientNetB7")
DEPTHS = (50, 200, 800)


def chain(depth):
    """A model of `depth` layers: convolutions, each with a norm and a ReLU."""
    import keras

    # Keras walks a graph by recursion.
    sys.setrecursionlimit(20000)

    x = y = keras.Input((16, 16, 8))
    for _ in range(depth // 3):
        y = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, padding="same")(y)))
    return keras.Model(x, y)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def clone(model):
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def folded(model):
    from keras_norms.export.folding.fold import fold

    result, report = fold(model)
    assert not report.kept
    return result


def measure(what, how):
    import keras
    import numpy as np

    model = chain(int(what)) if what.isdigit() else getattr(keras.applications, what)(weights=None)
    weights = sum(4 * int(np.prod(w.shape)) for w in model.weights)
    run = {"clone": clone, "fold": folded}[how]
    # Imports, thread pools and first calls are no part of either.
    run(chain(3))
    before, start = peak(), time.perf_counter()
    run(model)
    print(f"{time.perf_counter() - start} {(peak() - before) / weights}")


def child(what, how):
    output = subprocess.run(
        [sys.executable, __file__, "measure", what, how], check=True, capture_output=True, text=True
    ).stdout
    return [float(n) for n in output.split()[-2:]]


def main(models):
    print(f"{'model':16} {'clone s':>9} {'fold s':>9} {'ratio':>6} {'clone mem':>10} {'fold mem':>9}")
    for what in models or (*ARCHITECTURES, *map(str, DEPTHS)):
        (clone_s, clone_m), (fold_s, fold_m) = child(what, "clone"), child(what, "fold")
        name = f"depth {what}" if what.isdigit() else what
        print(
            f"{name:16} {clone_s:9.2f} {fold_s:9.2f} {fold_s / clone_s:6.2f} {clone_m:10.1f} {fold_m:9.1f}", flush=True
        )


if __name__ == "__main__":
    measure(*sys.argv[2:]) if sys.argv[1:2] == ["measure"] else main(sys.argv[1:])
