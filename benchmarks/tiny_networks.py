"""The four networks of MLPerf Tiny in int8: ours beside TensorFlow's converter and ai-edge-quantizer.

    python benchmarks/tiny_networks.py [resnet8|dscnn|autoencoder|mobilenet ...] [--seeds N]

Needs keras-norms[npu,micro] and ai-edge-quantizer. Built from the public descriptions, with random weights; batch norms
have the statistics of their inputs over the calibration data, gammas and betas are random. A twin of each has group
norms (of 8 groups) instead, the autoencoder's layer norms; ours of the twins is with `target="npu"`. Inputs are crops
of photographs, and random smooth spectrograms for speech and machine sounds.

Prints Markdown, a row for each file: kilobytes; the signal to quantization noise of the output in dB for 32 inputs that
no one calibrated with, in LiteRT's own kernels, as the mean over the seeds and for each; what TFLite Micro takes of its
arena, and the share of operators that Vela puts on an Ethos-U55-128.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from integer_judges import Judged, below, by_edge_quantizer, by_tensorflow, cell
from keras_norms.export import to_tflite
from sklearn.datasets import load_sample_images

import keras_norms

L = keras.layers
CHIP = "ethos-u55-128"
BATCH, GROUP, LAYER = "batch", "group", "layer"
OURS = {
    BATCH: L.BatchNormalization,
    GROUP: lambda: keras_norms.GroupNormalization(8),
    LAYER: keras_norms.LayerNormalization,
}
KERAS = {BATCH: L.BatchNormalization, GROUP: lambda: L.GroupNormalization(8), LAYER: L.LayerNormalization}


def resnet8(norm):
    def conv_norm(x, channels, strides=1):
        return norm()(L.Conv2D(channels, 3, strides, "same")(x))

    image = keras.Input((32, 32, 3))
    x = L.ReLU()(conv_norm(image, 16))
    for channels, strides in ((16, 1), (32, 2), (64, 2)):
        y = conv_norm(L.ReLU()(conv_norm(x, channels, strides)), channels)
        skip = x if strides == 1 else L.Conv2D(channels, 1, strides, "same")(x)
        x = L.ReLU()(L.Add()([skip, y]))
    x = L.Flatten()(L.AveragePooling2D(8)(x))
    return keras.Model(image, L.Dense(10, "softmax")(x))


def dscnn(norm):
    spectrogram = keras.Input((49, 10, 1))
    x = L.ReLU()(norm()(L.Conv2D(64, (10, 4), 2, "same")(spectrogram)))
    for _ in range(4):
        x = L.ReLU()(norm()(L.DepthwiseConv2D(3, padding="same")(x)))
        x = L.ReLU()(norm()(L.Conv2D(64, 1)(x)))
    x = L.Flatten()(L.AveragePooling2D((25, 5))(x))
    return keras.Model(spectrogram, L.Dense(12, "softmax")(x))


def autoencoder(norm):
    x = frames = keras.Input((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = L.ReLU()(norm()(L.Dense(width)(x)))
    return keras.Model(frames, L.Dense(640)(x))


def mobilenet(norm):
    image = keras.Input((96, 96, 3))
    x = L.ReLU()(norm()(L.Conv2D(8, 3, 2, "same", use_bias=False)(image)))
    wider = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
    for channels, strides in wider:
        x = L.ReLU()(norm()(L.DepthwiseConv2D(3, strides, "same", use_bias=False)(x)))
        x = L.ReLU()(norm()(L.Conv2D(channels, 1, use_bias=False)(x)))
    x = L.Flatten()(L.AveragePooling2D(3)(x))
    return keras.Model(image, L.Dense(2, "softmax")(x))


NETWORKS = {
    "resnet8": (resnet8, GROUP),
    "dscnn": (dscnn, GROUP),
    "autoencoder": (autoencoder, LAYER),
    "mobilenet": (mobilenet, GROUP),
}


def examples(shape, count, rng):
    """Crops of photographs for three channels, else random spectrograms: smooth over time, and over frequency."""
    if shape[-1] == 3:
        photographs = load_sample_images().images
        corners = [(rng.integers(427 - shape[0]), rng.integers(640 - shape[1])) for _ in range(count)]
        cut = [photographs[k % 2][y : y + shape[0], x : x + shape[1]] for k, (y, x) in enumerate(corners)]
        return (np.stack(cut) / 127.5 - 1).astype("float32")
    times, bands = shape[:2] if len(shape) == 3 else (5, 128)
    noise = rng.normal(size=(count, times, bands))
    waves = np.fft.rfft2(noise) / (1 + np.hypot(np.fft.fftfreq(times)[:, None], np.fft.rfftfreq(bands)) * 20)
    smooth = np.fft.irfft2(waves, (times, bands)) * rng.uniform(0.5, 2, (count, 1, 1))
    return (smooth / smooth.std()).reshape(count, *shape).astype("float32")


def randomized(make, norm, calibration, seed):
    keras.utils.set_random_seed(seed)
    model, rng = make(OURS[norm]), np.random.default_rng(seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            shape = layer.kernel.shape
            inputs = np.prod(shape[:2] if isinstance(layer, L.DepthwiseConv2D) else shape[:-1])
            layer.kernel.assign(rng.normal(0, np.sqrt(2 / inputs), shape))
        if hasattr(layer, "gamma"):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.0
    model(calibration, training=True)  # gives each batch norm the mean and variance of its input over all examples
    return model


def files(make, norm, model, calibration, folder):
    """Each writer's file."""
    path, options = folder / "judged.tflite", {"quantize": "int8", "batch_size": 1, "calibration": calibration}
    options |= {"io_dtype": "int8"} if norm == BATCH else {"target": "npu"}
    yield "ours", Judged(path, to_tflite, model, path, **options)
    twin = make(KERAS[norm])
    twin.set_weights(model.get_weights())
    example = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    yield "TensorFlow", Judged(path, by_tensorflow, keras.Model(example, twin(example)), "int8", calibration, path)
    yield "ai-edge-quantizer", Judged(path, by_edge_quantizer, model, "int8", calibration, path)


def one_network(name, norm, seeds, folder):
    """Prints the rows of one network, and returns what was judged."""
    make, rows, decibels, all_judged = NETWORKS[name][0], {}, {}, []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        shape = make(OURS[BATCH]).input_shape[1:]
        calibration, held_out = examples(shape, 64, rng), examples(shape, 32, rng)
        model = randomized(make, norm, calibration, seed)
        for writer, judged in files(make, norm, model, calibration, folder):
            decibels.setdefault(writer, []).append(judged.litert(model, held_out)[0])
            if not seed:  # what is not a matter of the weights
                said, (arena, _) = judged.vela(CHIP), judged.micro(model, held_out[:1])
                rows[writer] = judged.kilobytes(), arena, said and 100 * said.share
            all_judged.append((f"{name}, {norm}, {writer}", judged))
    for writer, (kilobytes, arena, share) in rows.items():
        figures = cell("{:.1f}", kilobytes), mean(decibels[writer]), cell("{:.1f}", arena), cell("{:.0f}", share)
        print(f"| {name} | {norm} | {writer} | {' | '.join(figures)} |", flush=True)
    return all_judged


def mean(figures):
    if None in figures:
        return "fails"
    return f"{np.mean(figures):.1f} ({', '.join(f'{figure:.1f}' for figure in figures)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| network | norm | written by | KB | dB | arena, KB | % on the NPU |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        all_judged = [
            judged
            for name in options.networks
            for norm in (BATCH, NETWORKS[name][1])
            for judged in one_network(name, norm, options.seeds, Path(folder))
        ]
    print(below(all_judged))


if __name__ == "__main__":
    main()
