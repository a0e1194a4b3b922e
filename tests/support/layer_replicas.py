"""Synchronized statistics: train on several devices and compare with one device that sees the whole batch.

backend_child.py calls `mirrored`, `Workers` and `sharded`; the last needs JAX as the backend and two devices.
"""

import json
import multiprocessing
import os
import socket
import traceback

import keras
import numpy as np
from layer_cases import BN, BRN, OPEN, inputs, randomize

import keras_norms

LAYERS = ((BN, {}), (BRN, {"schedule": OPEN}))
SHAPE = (6, 5, 3)
# How many of the six samples each replica gets; an empty share must not spoil the other's.
SHARES = ((3, 3), (4, 2), (6, 0))
STEPS = 2


def close(found, expected, what, tolerance=2e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=what)


def whole(layer_type, arguments, masks):
    """Outputs, input gradients and final weights of one device."""
    import tensorflow as tf

    layer = randomize(layer_type(synchronized=True, **arguments), SHAPE)
    outputs, gradients = [], []
    for step in range(STEPS):
        x = tf.constant(inputs(SHAPE, seed=step))
        call = {} if masks is None else {"mask": masks[step]}
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True, **call)
        outputs.append(y.numpy())
        gradients.append(tape.gradient(y, x, output_gradients=inputs(SHAPE, seed=50 + step)).numpy())
    return outputs, gradients, layer.get_weights()


def split(value, shares, replica):
    start = sum(shares[:replica])
    return value[start : start + shares[replica]]


def replicated_step(layer, use_mask):
    import tensorflow as tf

    def body(x, upstream, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True, **({"mask": mask} if use_mask else {}))
        return y, tape.gradient(y, x, output_gradients=upstream)

    return body


def mirrored():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    some = [np.random.default_rng(s).random(SHAPE[:2]) < 0.6 for s in range(STEPS)]
    one_sided = [np.repeat([[True] * 5, [False] * 5], 3, axis=0)] * STEPS
    for layer_type, arguments in LAYERS:
        for shares, masks in [(s, None) for s in SHARES] + [((4, 2), some), ((3, 3), one_sided)]:
            outputs, gradients, weights = whole(layer_type, arguments, masks)
            with strategy.scope():
                layer = randomize(layer_type(synchronized=True, **arguments), SHAPE)
            body = replicated_step(layer, masks is not None)

            @tf.function(autograph=False)
            def run(xs, upstreams, replica_masks, body=body):
                def pick(values):
                    return strategy.experimental_distribute_values_from_function(
                        lambda context: values[context.replica_id_in_sync_group]
                    )

                return strategy.run(body, args=(pick(xs), pick(upstreams), pick(replica_masks)))

            for step in range(STEPS):
                mask = np.ones(SHAPE[:2], bool) if masks is None else masks[step]
                parts = [
                    [tf.constant(split(v, shares, r)) for r in range(2)]
                    for v in (inputs(SHAPE, seed=step), inputs(SHAPE, seed=50 + step), mask)
                ]
                y, dx = run(*parts)
                what = f"{layer_type.__name__} {shares} step {step}"
                close(np.concatenate([v.numpy() for v in strategy.experimental_local_results(y)]), outputs[step], what)
                close(
                    np.concatenate([v.numpy() for v in strategy.experimental_local_results(dx)]), gradients[step], what
                )
            for a, b in zip(layer.get_weights(), weights, strict=True):
                close(a, b, f"{layer_type.__name__} {shares} weights")
    local_statistics(strategy)
    recalibrated_replicas(strategy)


def recalibrated():
    """A model whose first norm was recalibrated to the pooled moments of its inputs."""
    model = keras.Sequential([keras.Input(SHAPE[1:]), BN(), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    x = inputs(SHAPE)
    keras_norms.recalibrate(model, x, batch_size=4, sequential=True)
    rows = x.astype("float64").reshape(-1, SHAPE[-1])
    norm = model.layers[0]
    close(keras.ops.convert_to_numpy(norm.moving_mean), rows.mean(axis=0), "recalibrated mean", 1e-6)
    close(keras.ops.convert_to_numpy(norm.moving_variance), rows.var(axis=0), "recalibrated variance", 1e-6)
    return model


def recalibrated_replicas(strategy):
    """Every replica gets the new statistics, within the scope of the strategy and outside of it."""
    with strategy.scope():
        model = recalibrated()
    report = keras_norms.recalibrate(model, inputs(SHAPE), batch_size=4, sequential=True)
    assert max(norm.mean_moved for norm in report.norms) < 1e-6
    first, second = (v.numpy() for v in strategy.experimental_local_results(model.layers[0].moving_mean.value))
    close(first, second, "replicas")


def local_statistics(strategy):
    """Without synchronized=True each replica normalizes by its own share; the moving statistics become their mean."""
    import tensorflow as tf

    x = inputs(SHAPE)
    for layer_type, arguments in LAYERS:
        with strategy.scope():
            layer = layer_type(**arguments)
            layer.build(SHAPE)
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(split(x, (3, 3), context.replica_id_in_sync_group))
        )
        strategy.run(tf.function(lambda v, layer=layer: layer(v, training=True), autograph=False), args=(values,))
        means = np.mean([split(x, (3, 3), r).mean(axis=(0, 1)) for r in range(2)], axis=0)
        close(layer.moving_mean.numpy(), 0.01 * means, "mean of replicas")


def small_model(layer_type, arguments):
    keras.utils.set_random_seed(0)
    norm = layer_type(synchronized=True, **arguments)
    model = keras.Sequential(
        [keras.Input((5, 3)), keras.layers.Conv1D(4, 2), norm, keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.05), loss=keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)
    return model


def sharded():
    """On JAX the statistics of a batch that is spread over devices are those of the whole batch."""
    import jax

    assert len(jax.devices()) == 2
    x, y = inputs((24, 5, 3)), inputs((24, 1), seed=2)
    for layer_type, arguments in LAYERS:
        results = []
        for distribution in (None, keras.distribution.DataParallel(devices=keras.distribution.list_devices())):
            keras.distribution.set_distribution(distribution)
            model = small_model(layer_type, arguments)
            history = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0)
            results.append((history.history["loss"], model.get_weights()))
        recalibrated()
        close(results[0][0], results[1][0], f"{layer_type.__name__} losses")
        for a, b in zip(results[0][1], results[1][1], strict=True):
            close(a, b, layer_type.__name__)


class Workers:
    """Two workers on this machine: forks of this process, in which TensorFlow must not have begun to compute."""

    SECONDS = 90  # a worker waits for the others without end; this is many times what they take

    def __init__(self):
        ports = []
        for _ in range(2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        context = multiprocessing.get_context("fork")
        self._said = [context.Pipe(duplex=False) for _ in ports]
        self._processes = [
            context.Process(target=told, args=(i, cluster, said)) for i, (_, said) in enumerate(self._said)
        ]
        for process in self._processes:
            process.start()

    def wrong(self):
        """What goes wrong in them: their tracebacks, or an empty text."""
        said = [
            heard.recv() if heard.poll(self.SECONDS) else "It still waits for the other.\n" for heard, _ in self._said
        ]
        for process in self._processes:
            process.kill()
            process.join()
        return "".join(said)


def told(index, cluster, said):
    try:
        worker(index, cluster)
        said.send("")
    except Exception:
        said.send(traceback.format_exc())


def worker(index, cluster):
    """One of the workers, which compares its share with that of the whole batch."""
    import tensorflow as tf

    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    # The workers' shares differ in size, which is why the batch axis is left free.
    signature = [tf.TensorSpec([None, 5, 3]), tf.TensorSpec([None, 5, 3]), tf.TensorSpec([None, 5], tf.bool)]
    for layer_type, arguments in LAYERS:
        for shares in SHARES:
            with strategy.scope():
                layer = randomize(layer_type(synchronized=True, **arguments), SHAPE)
            body = replicated_step(layer, False)
            run = tf.function(
                lambda *v, body=body: strategy.run(body, args=v), input_signature=signature, autograph=False
            )
            found = []
            for step in range(STEPS):
                values = (inputs(SHAPE, seed=step), inputs(SHAPE, seed=50 + step), np.ones(SHAPE[:2], bool))
                found.append([v.numpy() for v in run(*(tf.constant(split(v, shares, index)) for v in values))])
            outputs, gradients, weights = whole(layer_type, arguments, None)
            for step, (y, dx) in enumerate(found):
                close(y, split(outputs[step], shares, index), f"{layer_type.__name__} {shares}")
                close(dx, split(gradients[step], shares, index), f"{layer_type.__name__} {shares}")
            for a, b in zip(layer.get_weights(), weights, strict=True):
                close(a, b, f"{layer_type.__name__} {shares} weights")
