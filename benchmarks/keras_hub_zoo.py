"""Backbones of KerasHub, small and with random weights: folded, exported to TFLite and ONNX, verified.

    python benchmarks/keras_hub_zoo.py [NAME ...]

Needs `keras-hub`; nothing is downloaded. Prints Markdown: norms by class, those folded and kept, and the largest error
of each verified file as a share of its output's scale, or the one sentence that refused it.
"""

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_hub
import numpy as np
from keras_hub.src.models.vae.vae_backbone import VAEBackbone
from keras_norms.export import ExportError, VerificationError, to_onnx, to_tflite

M = keras_hub.models
IMAGE = (64, 64, 3)
HEADS = {"vocabulary_size": 50, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32}
GROUPED_HEADS = {**HEADS, "num_query_heads": 4, "num_key_value_heads": 2}
TOKENS = {**HEADS, "num_heads": 2, "max_sequence_length": 64}


def resnet(block="bottleneck_block", pre=False):
    return M.ResNetBackbone([64], [7], [64, 64, 64, 64], [1] * 4, [1, 2, 2, 2], block, pre, image_shape=IMAGE)


def mit():
    return M.MiTBackbone(
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        layerwise_num_heads=[1, 2, 3, 4],
        layerwise_sr_ratios=[4, 2, 1, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[8, 16, 24, 32],
        image_shape=IMAGE,
    )


def cspnet(block, stage, **options):
    return M.CSPNetBackbone(16, 3, 1, [1, 2], [1, 2], [16, 32], block, stage_type=stage, image_shape=IMAGE, **options)


def mobilenet():
    return M.MobileNetBackbone(
        stackwise_expansion=[[16], [24, 32]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[16], [24, 24]],
        stackwise_kernel_size=[[3], [5, 3]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[0.25], [None, 0.25]],
        stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [2, 1]],
        output_num_filters=32,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=16,
        image_shape=IMAGE,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=32,
    )


def efficientnet():
    return M.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 5],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[16, 16],
        stackwise_output_filters=[16, 24],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["fused", "unfused"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        num_features=32,
        input_shape=IMAGE,
    )


def sam():
    size, grid = 64, 4
    return M.SAMBackbone(
        M.ViTDetBackbone(
            hidden_size=16,
            num_layers=2,
            intermediate_dim=32,
            num_heads=2,
            global_attention_layer_indices=[1],
            image_shape=(size, size, 3),
            num_output_channels=8,
            window_size=2,
        ),
        keras_hub.layers.SAMPromptEncoder(
            hidden_size=8, image_embedding_size=(grid, grid), input_image_size=(size, size), mask_in_channels=16
        ),
        keras_hub.layers.SAMMaskDecoder(
            num_layers=2,
            hidden_size=8,
            intermediate_dim=32,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=8,
        ),
    )


def hgnet():
    return M.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[16, 32],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=True,
        stackwise_stage_filters=[(8, 8, 16, 1, 2, 3), (16, 16, 32, 1, 2, 5)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, True],
        image_shape=IMAGE,
    )


def vae():
    return VAEBackbone([32, 64], [1, 1], [64, 32], [1, 1], sampler_method="mode")


def vae_decoder():
    latent = keras.Input((16, 16, 16))
    return keras.Model(latent, vae().decoder(latent))


BACKBONES = {
    "ResNet": resnet,
    "ResNet v2": lambda: resnet("basic_block", True),
    "CSPNet": lambda: cspnet("bottleneck_block", "csp", expand_ratio=[2.0], bottle_ratio=[0.5]),
    "Darknet": lambda: cspnet("dark_block", "dark"),
    "DenseNet": lambda: M.DenseNetBackbone([1, 1, 2], image_shape=IMAGE, growth_rate=8),
    "MobileNet": mobilenet,
    "EfficientNet": efficientnet,
    "Xception": lambda: M.XceptionBackbone([[8, 16], [16, 24], [32, 32]], [True, True, False], image_shape=IMAGE),
    "VGG": lambda: M.VGGBackbone([1, 1], [8, 16], image_shape=IMAGE),
    "HGNetV2": hgnet,
    "DeepLabV3": lambda: M.DeepLabV3Backbone(resnet(), "P5", 8, [2, 3, 4], "P2", 16, image_shape=IMAGE),
    "MiT": mit,
    "SegFormer": lambda: M.SegFormerBackbone(mit(), projection_filters=16),
    "ViT": lambda: M.ViTBackbone(IMAGE, 16, 2, 2, 16, 32),
    "DeiT": lambda: M.DeiTBackbone(IMAGE, 16, 2, 2, 16, 32),
    "DINOv2": lambda: M.DINOV2Backbone(16, 2, 16, 2, 32, image_shape=IMAGE, position_embedding_shape=(64, 64)),
    "Swin": lambda: M.SwinTransformerBackbone(IMAGE, 8, (2, 2), (2, 2), 4),
    "SAM": sam,
    "VAE": vae,
    "VAE decoder": vae_decoder,
    "BERT": lambda: M.BertBackbone(**TOKENS),
    "GPT-2": lambda: M.GPT2Backbone(**TOKENS),
    "T5": lambda: M.T5Backbone(num_heads=2, **HEADS),
    "Whisper": lambda: M.WhisperBackbone(50, 2, 2, 16, 32, 8, 0.0, 64, 64),
    "Llama": lambda: M.LlamaBackbone(**GROUPED_HEADS),
    "Gemma": lambda: M.GemmaBackbone(head_dim=8, **GROUPED_HEADS),
    "Qwen": lambda: M.QwenBackbone(**GROUPED_HEADS),
    "Mixtral": lambda: M.MixtralBackbone(num_experts=4, top_k=2, **GROUPED_HEADS),
}


def randomized(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name = variable.path.rpartition("/")[2]
        if variable.dtype != "float32":
            continue
        if name == "moving_variance":
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        elif len(variable.shape) < 2:
            variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    return model


def norms(model):
    kinds = (type(layer).__name__ for layer in model._flatten_layers())
    return ", ".join(f"{n} {kind}" for kind, n in Counter(k for k in kinds if "Norm" in k).items())


def tried(export, model, path):
    try:
        report = export(model, path)
    except (ExportError, VerificationError) as error:
        return str(error), None
    return f"{report.verification.relative:.0e}", report.fold


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(BACKBONES))
    options = parser.parse_args()
    print("| backbone | norms | folded, kept | .tflite | .onnx |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or BACKBONES:
            keras.utils.set_random_seed(0)
            keras.utils.clear_session()
            model = randomized(BACKBONES[name]())
            before = model.get_weights()
            answers = [
                tried(export, model, Path(folder) / f"m{suffix}")
                for export, suffix in ((to_tflite, ".tflite"), (to_onnx, ".onnx"))
            ]
            same = all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
            fold = next((fold for _, fold in answers if fold is not None), None)
            folded = f"{len(fold.folded)}, {len(fold.kept)}" if fold else ""
            cells = (name, norms(model), folded, *(answer for answer, _ in answers), "" if same else "CHANGED")
            print("| " + " | ".join(cells).rstrip(" |") + " |", flush=True)


if __name__ == "__main__":
    main()
