"""A small net on scikit-learn's digits and the compiled loop that trains it, for training_tools.py."""

import functools

import keras
import numpy as np
import tensorflow as tf

import keras_norms as kn

CHUNK = 100  # steps in one call of the compiled loop
DECAY = 0.99  # of the exponential average of the weights, per step


def norm_layer(name, steps):
    return {
        "BN": lambda: kn.BatchNormalization(),
        "BN, ghosts of 2": lambda: kn.BatchNormalization(virtual_batch_size=2),
        "BRN": lambda: kn.BatchRenormalization(schedule=kn.RenormSchedule.for_training(steps)),
        "GN": lambda: kn.GroupNormalization(groups=4),
    }[name]()


WRAPS = {
    "plain": lambda layer: layer,
    "WS": kn.WeightStandardization,
    "scaled WS": lambda layer: kn.WeightStandardization(layer, scaled=True),
}


def network(norm, steps=1000, wrap=WRAPS["plain"]):
    x = image = keras.Input((8, 8, 1))
    for filters in (16, 32):
        x = wrap(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False))(x)
        x = keras.layers.ReLU()(norm_layer(norm, steps)(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    return keras.Model(image, x)


def images():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x, y = (x.reshape(-1, 8, 8, 1) / 16).astype("float32"), y.astype("int32")
    return train_test_split(x, y, test_size=450, random_state=0, stratify=y)


class Loop:
    """Steps of gradient descent on a model, compiled once; of the weights it keeps an exponential average."""

    def __init__(self, model, data):
        self.model = model
        self.x, self.x_test, self.y, self.y_test = (tf.constant(part) for part in data)
        self.averages = [tf.Variable(v.value) for v in model.trainable_variables]
        self.run = tf.function(self._run, reduce_retracing=True)
        self.predict = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def _run(self, indices, rate):
        variables = self.model.trainable_variables
        for i in tf.range(tf.shape(indices)[0]):
            with tf.GradientTape() as tape:
                logits = self.model(tf.gather(self.x, indices[i]), training=True)
                labels = tf.gather(self.y, indices[i])
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            self.move(tape.gradient(loss, variables), rate)

    def move(self, gradients, rate):
        for variable, average, gradient in zip(self.model.trainable_variables, self.averages, gradients, strict=True):
            variable.assign_sub(rate * gradient)
            average.assign(DECAY * average + (1 - DECAY) * tf.convert_to_tensor(variable))

    def start(self, weights):
        self.model.set_weights(weights)
        for average, variable in zip(self.averages, self.model.trainable_variables, strict=True):
            average.assign(variable.value)

    def train(self, steps, batch, rate, seed):
        """Train; the weights after each chunk of steps."""
        indices = np.random.default_rng(seed).integers(len(self.y), size=(steps, batch)).astype("int32")
        snapshots = []
        for start in range(0, steps, CHUNK):
            self.run(tf.constant(indices[start : start + CHUNK]), tf.constant(rate, tf.float32))
            snapshots.append([keras.ops.convert_to_numpy(v) for v in self.model.trainable_variables])
        return snapshots

    def accuracy(self):
        right = np.argmax(self.predict(self.x_test), -1) == self.y_test.numpy()
        return 100 * float(np.mean(right))


@functools.cache
def loop_of(norm, steps, wrap):
    return Loop(network(norm, steps, WRAPS[wrap]), images())


def trained(norm, steps, batch, rate, seed, wrap="plain"):
    """A compiled loop whose model was trained from new weights; the next call with the same net trains it again."""
    loop = loop_of(norm, steps if norm == "BRN" else None, wrap)
    keras.utils.set_random_seed(seed)
    loop.start(network(norm, steps, WRAPS[wrap]).get_weights())
    loop.train(steps, batch, rate, seed)
    return loop
