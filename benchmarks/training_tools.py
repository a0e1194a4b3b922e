"""What the tools for norms in training do on scikit-learn's digits, in tables of mean ± standard deviation over seeds.

    python benchmarks/training_tools.py averaging        SWA and EMA weights before and after recalibrate; fold, int8
    python benchmarks/training_tools.py conversion       a net trained with BN at 32, fine-tuned at batches of 2
    python benchmarks/training_tools.py standardization  GN with and without weight standardization at tiny batches
    python benchmarks/training_tools.py accumulation     gradients of 16 batches of 2 accumulated, against a batch of 32

The net has two convolutions of 16 and 32 channels, a norm behind each; 1,347 images train it by plain SGD, 450 test it.
Each part takes two to six minutes of a core; --seeds 1 gives a first look.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from evidence_tables import spread, table
from training_loop import Loop, images, network, trained

import keras_norms as kn

# Averaged weights


def averaging(data, seeds):
    """Test accuracy with the statistics of training, and after recalibrate on the training images."""
    from keras_norms.export import fold

    rows, after = [], {}
    for batch, rate, steps in ((32, 0.1, 1000), (32, 0.5, 1000), (2, 0.02, 3000)):
        found = {"last step": ([], []), "SWA": ([], []), "EMA": ([], [])}
        for seed in range(seeds):
            loop = trained("BN", steps // 2, batch, rate, seed)
            snapshots = loop.train(steps // 2, batch, rate, seed + 100)
            means = [np.mean(parts, axis=0) for parts in zip(*snapshots, strict=True)]
            given = {"last step": snapshots[-1], "SWA": means, "EMA": [a.numpy() for a in loop.averages]}
            moving = [keras.ops.convert_to_numpy(v) for v in loop.model.non_trainable_variables]
            for name, (before, then) in found.items():
                assign(loop.model.trainable_variables, given[name])
                assign(loop.model.non_trainable_variables, moving)
                before.append(loop.accuracy())
                kn.recalibrate(loop.model, data[0], batch_size=256)
                then.append(loop.accuracy())
                if name == "SWA":
                    folded, report = fold(loop.model)
                    made = then[-1], accuracy_of(folded, data), report.error, int8(loop.model, data)
                    after.setdefault((batch, rate), []).append(made)
        rows += [[batch, rate, name, spread(b), spread(a)] for name, (b, a) in found.items()]
    print(table(["batch", "rate", "weights", "statistics of training", "recalibrated"], rows), "\n", flush=True)
    rows = []
    for (batch, rate), made in after.items():
        keras_, folded, error, quantized = zip(*made, strict=True)
        rows.append([batch, rate, spread(keras_), spread(folded), f"{max(error):.1e}", spread(quantized)])
    print(table(["batch", "rate", "SWA, recalibrated", "folded", "largest error of a fold", "int8 .tflite"], rows))


def assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def accuracy_of(model, data):
    return 100 * float(np.mean(np.argmax(model(data[1]), -1) == data[3]))


def int8(model, data):
    from keras_norms.export import to_tflite
    from keras_norms.export.formats import format_of

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        to_tflite(model, path, quantize="int8", calibration=data[0][:256])
        runner = next(iter(format_of(path).runners(path).values()))
        name, output = runner.inputs[0].name, runner.outputs[0]
        logits = [runner.run({name: image[None]})[output][0] for image in data[1]]
    return 100 * float(np.mean(np.argmax(logits, -1) == data[3]))


# Norms converted


def conversion(data, seeds):
    """A net trained with BN at batches of 32, its norms converted, then fine-tuned at batches of 2."""
    always = kn.RenormSchedule.constant(3.0, 5.0)
    ways = {
        "BN": lambda model: model,
        "BN, frozen": lambda model: kn.convert_norms(model, "frozen").model,
        "BRN": lambda model: kn.convert_norms(model, "renorm", schedule=always).model,
        "GN": lambda model: kn.convert_norms(model, "group").model,
        "LN": lambda model: kn.convert_norms(model, "layer").model,
        "none": lambda model: kn.convert_norms(model, "none").model,
        "GN, gamma and beta as they were": with_affine_as_it_was,
    }
    x, x_test, y, y_test = data
    tasks = {"the same images": data, "inverted images": (1 - x, 1 - x_test, y, y_test)}
    found = {(task, way): ([], []) for task in tasks for way in ways}
    before = []
    for seed in range(seeds):
        loop = trained("BN", 1000, 32, 0.1, seed)
        before.append(loop.accuracy())
        for task, given in tasks.items():
            for way, convert in ways.items():
                model = convert(loop.model) if way != "BN" else kn.convert_norms(loop.model, "renorm").model
                model = model if way != "BN" else kn.convert_norms(model, "batch").model  # a copy
                tuned = Loop(model, given)
                found[task, way][0].append(tuned.accuracy())
                tuned.train(1000, 2, 0.02, seed + 100)
                found[task, way][1].append(tuned.accuracy())
    print(f"Trained with BN: {spread(before)}.\n")
    rows = [[task, way, spread(a), spread(b)] for (task, way), (a, b) in found.items()]
    print(table(["fine-tuned on", "norm", "as converted", "after 1,000 steps of 2"], rows))


def with_affine_as_it_was(model):
    converted = kn.convert_norms(model, "group").model
    for old, new in zip(model.layers, converted.layers, strict=True):
        if isinstance(new, kn.GroupNormalization):
            new.set_weights(old.get_weights()[:2])
    return converted


# Weight standardization


def standardization(_data, seeds, steps=1000, rate=0.02):
    """GN with plain, standardized and scaled standardized kernels at tiny batches."""
    ways = {
        "GN": ("GN", "plain"),
        "GN + WS": ("GN", "WS"),
        "GN + scaled WS": ("GN", "scaled WS"),
        "BN": ("BN", "plain"),
    }
    print(table(["batch", *ways], []), flush=True)
    for batch in (1, 2, 4):
        cells = [
            spread([trained(norm, steps, batch, rate, seed, wrap).accuracy() for seed in range(seeds)])
            for norm, wrap in ways.values()
        ]
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)


# Gradient accumulation


class AccumulatingLoop(Loop):
    """Keras' own accumulation: the optimizer moves the weights at every `every`-th batch."""

    def __init__(self, model, data, rate, every):
        self.optimizer = keras.optimizers.SGD(rate, gradient_accumulation_steps=every if every > 1 else None)
        self.optimizer.build(model.trainable_variables)
        super().__init__(model, data)

    def move(self, gradients, _rate):
        self.optimizer.apply(gradients, self.model.trainable_variables)


def accumulation(data, seeds, updates=200):
    """The same images and the same number of updates: batches of 32, and 16 batches of 2 accumulated."""
    slow = 0.99 ** (1 / 16)  # of 16 calls keeps what 0.99 keeps of one
    ways = {
        "BN, 32": ("BN", 32, 0.99),
        "BN, 16 x 2": ("BN", 2, 0.99),
        "BN, 16 x 2, momentum .99937": ("BN", 2, slow),
        "ghost BN of 2, 32": ("BN, ghosts of 2", 32, 0.99),
        "BRN, 32": ("BRN", 32, 0.99),
        "BRN, 16 x 2": ("BRN", 2, 0.99),
        "BRN, 16 x 2, momentum .99937": ("BRN", 2, slow),
    }
    header = ["norm, batches", "accuracy", "mean off by, deviations", "deviation off by, times", "recalibrated"]
    print(table(header, []), flush=True)
    for name, (norm, batch, momentum) in ways.items():
        every, found = 32 // batch, []
        model = network(norm, updates * every)
        for layer in model.layers:
            if hasattr(layer, "momentum"):
                layer.momentum = momentum
        loop = AccumulatingLoop(model, data, 0.1, every)
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            loop.start(network(norm, updates * every).get_weights())
            loop.train(updates * every, batch, 0.0, seed)  # a multiple of 16 steps, so that no sum is left over
            before = loop.accuracy()
            report = kn.recalibrate(model, data[0], batch_size=449, sequential=True)
            mean = max(n.mean_moved for n in report.norms)
            ratio = [r for n in report.norms for r in (n.deviation_smallest, n.deviation_largest)]
            found.append((before, mean, max(max(ratio), 1 / min(ratio)), loop.accuracy()))
        before, mean, ratio, after = zip(*found, strict=True)
        cells = [spread(before), f"{np.mean(mean):.2f}", f"{np.mean(ratio):.2f}", spread(after)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


PARTS = {
    "averaging": averaging,
    "conversion": conversion,
    "standardization": standardization,
    "accumulation": accumulation,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    PARTS[options.part](images(), options.seeds)


if __name__ == "__main__":
    main()
