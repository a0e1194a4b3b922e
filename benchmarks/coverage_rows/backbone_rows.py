"""Backbones of KerasHub that configure without downloads, by benchmarks/keras_hub_zoo.py, which needs keras-hub."""

from .coverage_row import Row

NAMES = (
    "ResNet",
    "ResNet v2",
    "CSPNet",
    "DenseNet",
    "MobileNet",
    "EfficientNet",
    "Xception",
    "VGG",
    "HGNetV2",
    "DeepLabV3",
    "SegFormer",
    "ViT",
    "DINOv2",
    "Swin",
    "SAM",
    "VAE",
    "BERT",
    "GPT-2",
    "Whisper",
    "Llama",
)


def _maker(name):
    def make():
        from keras_hub_zoo import BACKBONES, randomized

        return randomized(BACKBONES[name]())

    return make


ROWS = tuple(Row("backbones", name, make=_maker(name)) for name in NAMES)
