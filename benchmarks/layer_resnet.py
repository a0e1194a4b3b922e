"""A training step of a small net with each norm, against the same net with Keras' layers; interleaved.

python benchmarks/layer_resnet.py                     a ResNet
python benchmarks/layer_resnet.py --net dense         residual dense blocks, each ended by the norm
python benchmarks/layer_resnet.py --net dense --jit   the same compiled by XLA
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from layer_speed import measure, median_ratio, set_threads

import keras_norms as kn

PAIRS = {
    "BN": (keras.layers.BatchNormalization, kn.BatchNormalization),
    "BRN": (lambda: keras.layers.BatchNormalization(renorm=True), kn.BatchRenormalization),
    "GN": (lambda: keras.layers.GroupNormalization(8), lambda: kn.GroupNormalization(8)),
    "LN": (keras.layers.LayerNormalization, kn.LayerNormalization),
}


def resnet(norm, widths=(32, 64, 128), blocks=2):
    """Six residual blocks in three stages on 32 x 32 images."""
    x = y = keras.Input((32, 32, 3))
    y = keras.layers.Conv2D(widths[0], 3, padding="same", use_bias=False)(y)
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            shortcut = y
            y = keras.layers.ReLU()(norm()(y))
            if y.shape[-1] != width or stride > 1:
                shortcut = keras.layers.Conv2D(width, 1, strides=stride, use_bias=False)(y)
            y = keras.layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(y)
            y = keras.layers.ReLU()(norm()(y))
            y = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
            y = keras.layers.Add()([y, shortcut])
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(norm()(y)))
    return keras.Model(x, keras.layers.Dense(10)(y))


def dense(norm, width=256, blocks=12):
    """Twelve residual blocks of one dense layer, the norm after the addition."""
    x = y = keras.Input((width,))
    for _ in range(blocks):
        y = norm()(keras.layers.Add()([y, keras.layers.Dense(width, activation="relu")(y)]))
    return keras.Model(x, keras.layers.Dense(10)(y))


NETS = {"resnet": (resnet, (32, 32, 3), 16), "dense": (dense, (256,), 256)}


def train_step(net, norm, jit):
    model = net(norm)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False, jit_compile=jit)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return step, lambda out: out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jit", action="store_true")
    parser.add_argument("--net", choices=NETS, default="resnet")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    set_threads(1)
    rng = np.random.default_rng(0)
    net, shape, batch = NETS[arguments.net]
    data = tf.constant(rng.normal(size=(batch, *shape)).astype("float32")), tf.constant(rng.integers(10, size=batch))
    print(f"{'norm':>6} {'Keras ms':>9} {'ms':>9} {'ratio':>6}")
    for name, (theirs, ours) in PAIRS.items():
        steps = {"Keras": train_step(net, theirs, arguments.jit), "ours": train_step(net, ours, arguments.jit)}
        times = measure(steps, data, arguments.rounds, 0.3)
        keras_ms, ms = (statistics.median(times[k]) for k in ("Keras", "ours"))
        print(f"{name:>6} {keras_ms:9.1f} {ms:9.1f} {median_ratio(times, 'ours', 'Keras'):6.2f}", flush=True)


if __name__ == "__main__":
    main()
