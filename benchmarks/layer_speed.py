"""Time forward and backward of every layer beside its references, interleaved in one run.

    python benchmarks/layer_speed.py                 TensorFlow, graph mode
    python benchmarks/layer_speed.py --jit           the same, compiled by XLA
    python benchmarks/layer_speed.py --stack 16      16 layers one after the other, without the cost of 15 calls
    KERAS_BACKEND=jax python benchmarks/layer_speed.py
    KERAS_BACKEND=torch python benchmarks/layer_speed.py

Each figure is the median over rounds; each ratio is the median of the ratios within a round, so that a machine that is
busy for a while slows both sides alike. "fused" is the fused batch norm kernel of tf.nn alone: no moving statistics.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_norms as kn

SHAPES = ((16, 28, 28, 64), (32, 56, 56, 64), (2, 128, 128, 64), (64, 256), (8, 512, 768))
OPEN = kn.RenormSchedule.constant(3.0, 5.0)


def candidates(shape):
    """(reference, {name: layer}) pairs; the first of each is what the others are measured against."""
    k = keras.layers
    yield (
        "batch",
        {
            "Keras BN": k.BatchNormalization(),
            "BN": kn.BatchNormalization(),
            "Keras BN renorm": k.BatchNormalization(
                renorm=True, renorm_clipping={"rmax": 3.0, "rmin": 1 / 3, "dmax": 5.0}
            ),
            "BRN": kn.BatchRenormalization(schedule=OPEN),
        },
    )
    yield "group", {"Keras GN": k.GroupNormalization(32), "GN": kn.GroupNormalization(32)}
    if len(shape) > 2:
        yield "instance", {"Keras GN(-1)": k.GroupNormalization(-1), "IN": kn.InstanceNormalization()}
    yield "layer", {"Keras LN": k.LayerNormalization(), "LN": kn.LayerNormalization()}


def tensorflow_step(layer, shape, training, jit, stack):
    import tensorflow as tf

    layers = [layer, *(type(layer).from_config(layer.get_config()) for _ in range(stack - 1))]
    for each in layers:
        if not each.built:
            each.build(shape)
    variables = [v for each in layers for v in each.trainable_variables]

    @tf.function(autograph=False, jit_compile=jit)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for each in layers:
                y = each(y, **training)
        return y, tape.gradient(y, [x, *variables], output_gradients=_after(y, dy))

    return step, lambda out: out


def _after(y, dy):
    """dy, not before y is there: as in training, where it comes from the layers behind."""
    import tensorflow as tf

    with tf.control_dependencies([y]):
        return tf.identity(dy)


def fused_kernel_step(shape, jit, stack):
    import tensorflow as tf

    weights = [(tf.Variable(tf.ones(shape[-1])), tf.Variable(tf.zeros(shape[-1]))) for _ in range(stack)]

    @tf.function(autograph=False, jit_compile=jit)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x if len(shape) == 4 else tf.reshape(x, (-1, 1, 1, shape[-1]))
            for gamma, beta in weights:
                y, _, _ = tf.compat.v1.nn.fused_batch_norm(y, gamma, beta, epsilon=1e-3, is_training=True)
            y = tf.reshape(y, shape)
        return y, tape.gradient(y, [x, *(w for pair in weights for w in pair)], output_gradients=_after(y, dy))

    return step, lambda out: out


def jax_step(layer, training):
    import jax

    trainable = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]

    @jax.jit
    def step(x, dy):
        def apply(x, trainable):
            return layer.stateless_call(trainable, state, x, **training)

        y, pull, new_state = jax.vjp(apply, x, trainable, has_aux=True)
        return y, pull(dy), new_state

    return step, jax.block_until_ready


def torch_step(layer, training):
    def step(x, dy):
        x = x.detach().requires_grad_()
        for v in layer.trainable_variables:
            v.value.grad = None
        y = layer(x, **training)
        y.backward(dy)
        return y

    return step, lambda out: out


def make_step(layer, shape, training, jit, stack):
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return tensorflow_step(layer, shape, training, jit, stack)
    return jax_step(layer, training) if backend == "jax" else torch_step(layer, training)


def measure(steps, arguments, rounds, seconds):
    """Milliseconds of each step in each round."""
    repeats = {}
    for name, (step, wait) in steps.items():
        for _ in range(3):
            wait(step(*arguments))
        start = time.perf_counter()
        wait(step(*arguments))
        repeats[name] = max(1, int(seconds / (time.perf_counter() - start)))
    times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, (step, wait) in steps.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                out = step(*arguments)
            wait(out)
            times[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    return times


def median_ratio(times, name, reference):
    return statistics.median(a / b for a, b in zip(times[name], times[reference], strict=True))


def set_threads(count):
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif backend == "torch":
        import torch

        torch.set_num_threads(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jit", action="store_true", help="compile with XLA (TensorFlow)")
    parser.add_argument("--stack", type=int, default=1, help="layers in a row (TensorFlow)")
    parser.add_argument("--shape", action="append", help="such as 64,256; again for another one; all five by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.05, help="time given to each step in each round")
    parser.add_argument("--threads", type=int, default=1, help="0 lets the backend choose; JAX always chooses")
    parser.add_argument("--only", default="", help="batch, group, instance or layer")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.threads:
        set_threads(arguments.threads)
    backend = keras.backend.backend()
    print(f"backend {backend}{' jit' if arguments.jit else ''}, {arguments.threads} threads, Keras {keras.__version__}")
    print(f"{'shape':>18} {'layer':>16} {'ms':>9} {'to Keras':>9} {'to fused':>9}")
    records = []
    rng = np.random.default_rng(0)
    shapes = [tuple(int(n) for n in shape.split(",")) for shape in arguments.shape or ()] or SHAPES
    for shape in shapes:
        x, dy = (keras.ops.convert_to_tensor(rng.normal(size=shape).astype("float32")) for _ in range(2))
        for family, layers in candidates(shape):
            if arguments.only not in ("", family):
                continue
            training = {"training": True} if family == "batch" else {}
            for layer in layers.values():
                layer.build(shape)
            steps = {
                name: make_step(layer, shape, training, arguments.jit, arguments.stack)
                for name, layer in layers.items()
            }
            if family == "batch" and backend == "tensorflow":
                steps["fused"] = fused_kernel_step(shape, arguments.jit, arguments.stack)
            times = measure(steps, (x, dy), arguments.rounds, arguments.seconds)
            for name in times:
                twin = next(iter(layers)) if name != "BRN" else "Keras BN renorm"
                to_fused = median_ratio(times, name, "fused") if "fused" in times else float("nan")
                record = (str(shape), name, statistics.median(times[name]), median_ratio(times, name, twin), to_fused)
                records.append(dict(zip(("shape", "layer", "ms", "to_keras", "to_fused"), record, strict=True)))
                print("{:>18} {:>16} {:9.3f} {:9.2f} {:9.2f}".format(*record), flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:  # noqa: PTH123 (a user's path, as given)
            json.dump({"backend": backend, "jit": arguments.jit, "figures": records}, file, indent=1)


if __name__ == "__main__":
    main()
