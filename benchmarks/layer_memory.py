"""Peak memory of one layer's forward and backward, in multiples of its input's size; one child process a layer.

    python benchmarks/layer_memory.py

The peak is that of the resident set during the first step, less the peak before it: the output and the input's gradient
are included, the input and the output's gradient are not.
"""

import argparse
import json
import os
import resource
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHAPE = (16, 112, 112, 64)
LAYERS = ("Keras BN", "BN", "Keras renorm", "BRN", "Keras GN", "GN", "Keras GN(-1)", "IN", "Keras LN", "LN")


def make(name):
    import keras

    import keras_norms as kn

    k = keras.layers
    return {
        "Keras BN": lambda: k.BatchNormalization(),
        "BN": lambda: kn.BatchNormalization(),
        "Keras renorm": lambda: k.BatchNormalization(renorm=True),
        "BRN": lambda: kn.BatchRenormalization(schedule=kn.RenormSchedule.constant(3, 5)),
        "Keras GN": lambda: k.GroupNormalization(32),
        "GN": lambda: kn.GroupNormalization(32),
        "Keras GN(-1)": lambda: k.GroupNormalization(-1),
        "IN": lambda: kn.InstanceNormalization(),
        "Keras LN": lambda: k.LayerNormalization(),
        "LN": lambda: kn.LayerNormalization(),
    }[name]()


def child(name, jit):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    layer = make(name)
    layer.build(SHAPE)
    training = {"training": True} if "BN" in name or "renorm" in name or "BRN" in name else {}

    @tf.function(autograph=False, jit_compile=jit)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **training)
        return y, tape.gradient(y, [x, *layer.trainable_variables], output_gradients=dy)

    small = tf.ones((1, 2, 2, 64))
    step(small, small)  # whatever is loaded and allocated once
    # Filled, not drawn: drawing would raise the peak before the step.
    x, dy = tf.fill(SHAPE, 0.5), tf.fill(SHAPE, 0.25)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(x, dy)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps((after - before) * 1024 / x.numpy().nbytes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jit", action="store_true")
    parser.add_argument("--child")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.jit)
        return
    print(f"{'layer':>14}  peak, inputs")
    for name in LAYERS:
        command = [sys.executable, __file__, "--child", name, *(["--jit"] if arguments.jit else [])]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"{name:>14}  {json.loads(out.splitlines()[-1]):.2f}", flush=True)


if __name__ == "__main__":
    main()
