"""Norms in integers for NPUs and microcontrollers: ours beside TensorFlow's converter and ai-edge-quantizer.

    python benchmarks/npu_norms.py [--networks resnet|unet|mobilenet|encoder|relu-encoder ...] [--norms NORM ...]
    python benchmarks/npu_norms.py --plot FILE.png

Needs keras-norms[npu,micro] and ai-edge-quantizer. Prints Markdown, a row for each file, of a network of
`integer_networks.py`; what a writer or a judge did not manage is "fails", and why stands below the table.

Decibels are the signal to quantization noise of the outputs, larger is better, for 24 images that no one calibrated
with, times a contrast: in TFLite Micro, and in LiteRT's own kernels, whose reciprocal root is the NPU's table. Arena:
what TFLite Micro takes. Share of operators, cycles (as a ratio to our int8 file of the network with batch norms) and
SRAM are Vela's, for Ethos-U55-128 / Ethos-U85-256.
"""

import argparse
import tempfile
from functools import cache, partial
from pathlib import Path

import integer_networks as networks
import numpy as np
from integer_judges import Judged, below, by_edge_quantizer, by_tensorflow, cell
from keras_norms.export import to_tflite
from keras_norms.export.formats.tflite.chips import vela

NETWORKS = {
    "resnet": (networks.resnet, ("batch", "group", "instance", "layer", "rms")),
    "unet": (networks.unet, ("batch", "group")),
    "mobilenet": (networks.mobilenet, ("batch", "group")),
    "encoder": (networks.encoder, ("layer",)),
    "relu-encoder": (partial(networks.encoder, activation="relu"), ("layer",)),
}
MODES, WRITERS, CONTRASTS = ("int16x8", "int8"), ("ours", "TensorFlow", "ai-edge-quantizer"), (0.06, 0.25, 1, 1.5)
trained = cache(networks.trained)
HEADS = (
    "norm",
    "mode",
    "written by",
    "dB, Micro",
    "dB, LiteRT, at .06 / .25 / 1 / 1.5",
    "arena, KB",
    "% on the NPU",
    "cycles, x BN",
    "SRAM, KB",
)


def written(writer, mode, model, twin, calibration, folder):
    """The file of one writer; `twin` is the model in Keras' own layers."""
    path = folder / "judged.tflite"
    if writer == "TensorFlow":
        return Judged(path, by_tensorflow, twin, mode, calibration, path)
    if writer == "ai-edge-quantizer":
        return Judged(path, by_edge_quantizer, model, mode, calibration, path)
    return Judged(path, to_tflite, model, path, quantize=mode, target="npu", batch_size=1, calibration=calibration)


def row(judged, model, images, base):
    """The cells of one file."""
    said = [judged.vela(chip) for chip in vela.CHIPS]
    arena, in_micro = judged.micro(model, images)
    ratios = [b and v and v.cycles / b for v, b in zip(said, base, strict=True)]
    return (
        cell("{:.1f}", in_micro),
        cell("{:.1f}", *judged.litert(model, images, CONTRASTS)),
        cell("{:.0f}", arena),
        cell("{:.0f}", *(v and 100 * v.share for v in said)),
        cell("{:.2f}", *ratios),
        cell("{:.0f}", *(v and v.sram_kb for v in said)),
    )


def cycles_with_batch_norms(make, calibration, folder):
    """Vela's cycles for our int8 file of the same network with batch norms, which fold."""
    model = trained(make, "batch")
    judged = written("ours", "int8", model, None, calibration, folder)
    said = [judged.vela(chip) for chip in vela.CHIPS]
    return [v and v.cycles for v in said], judged


def one_network(name, norms, calibration, images, folder):
    make, all_norms = NETWORKS[name]
    base, with_batch_norms = cycles_with_batch_norms(make, calibration, folder)
    all_judged = [("batch norms, for the ratio", with_batch_norms)]
    print(f"\n{name}; cycles of our int8 file with batch norms: {cell('{:,}', *base)}\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for norm in norms or all_norms:
        model = trained(make, norm)
        twin = networks.with_keras_layers(model, make, norm)
        np.testing.assert_allclose(twin(images[:1]), model(images[:1]), rtol=0, atol=1e-4)
        for mode in MODES:
            for writer in WRITERS:
                judged = written(writer, mode, model, twin, calibration, folder)
                print(f"| {norm} | {mode} | {writer} | {' | '.join(row(judged, model, images, base))} |", flush=True)
                all_judged.append((f"{norm}, {mode}, {writer}", judged))
    print(below(all_judged))


def plot(file, calibration, images, folder):
    """Decibels over the contrast of what the network with group norms sees."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    model = trained(networks.resnet, "group")
    twin = networks.with_keras_layers(model, networks.resnet, "group")
    contrasts = np.geomspace(0.03, 2, 25)
    figure, axes = plt.subplots(figsize=(7, 4))
    for writer, mode in (("ours", "int16x8"), *((writer, "int8") for writer in WRITERS)):
        judged = written(writer, mode, model, twin, calibration, folder)
        found = judged.litert(model, images, contrasts)
        axes.plot(contrasts, [np.nan if f is None else f for f in found], label=f"{writer}, {mode}")
    axes.axvline(1, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set(xlabel="contrast of the images; calibrated at 1", ylabel="signal to noise, dB", ylim=(0, 70))
    axes.set_xticks([0.03, 0.1, 0.3, 1, 2], ["0.03", "0.1", "0.3", "1", "2"])
    axes.legend(loc="upper left", ncols=2)
    axes.set_title("A residual network with group norms in integers, in LiteRT")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["resnet"], choices=NETWORKS)
    parser.add_argument("--norms", nargs="*", choices=networks.NORMS, metavar="NORM")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    calibration, images = networks.crops(64, seed=2)[0], networks.crops(24, seed=3)[0]
    with tempfile.TemporaryDirectory() as folder:
        if options.plot:
            plot(options.plot, calibration, images, Path(folder))
            return
        for name in options.networks:
            one_network(name, options.norms, calibration, images, Path(folder))


if __name__ == "__main__":
    main()
