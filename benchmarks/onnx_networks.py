"""The networks of `exported_onnx.py`: whole models, stacks of one kind of layer, and single operations."""

import keras
import numpy as np
from exported_norms import group_norm, layer_model, resnet50
from keras import layers

SHAPES = ((56, 56, 256), (112, 112, 64), (28, 28, 512))
GROUPS = 32


def stack(shape, layer, count=6):
    x = inputs = keras.Input(shape, batch_size=1, name="x")
    for _ in range(count):
        x = layers.ReLU()(layers.BatchNormalization()(layer()(x)))
    return keras.Model(inputs, x)


def unet(channels=16, size=128):
    def block(x, filters):
        for _ in range(2):
            x = layers.ReLU()(layers.GroupNormalization(8)(layers.Conv2D(filters, 3, padding="same")(x)))
        return x

    x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
    skips = []
    for depth in range(3):
        skips.append(block(x, channels << depth))
        x = layers.MaxPooling2D()(skips[-1])
    x = block(x, channels << 3)
    for depth in reversed(range(3)):
        x = layers.Conv2DTranspose(channels << depth, 2, 2)(x)
        x = block(layers.Concatenate()([x, skips[depth]]), channels << depth)
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def vit(gelu, width=192, depth=12, heads=3, size=224, patch=16):
    inputs = keras.Input((size, size, 3), batch_size=1, name="image")
    x = layers.Conv2D(width, patch, patch)(inputs)
    x = layers.Reshape((-1, width))(x)
    x = x + np.random.default_rng(0).normal(0, 0.02, (1, (size // patch) ** 2, width)).astype("float32")
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(y, y)])
        y = layers.Dense(4 * width)(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Dense(width)(gelu()(y))])
    return keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))))


def exact():
    return layers.Activation("gelu")


def tanh():
    return layers.Activation(tanh_gelu)


def tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


def convnext(gelu):
    base = keras.applications.ConvNeXtTiny(weights=None, include_preprocessing=False, input_shape=(224, 224, 3))
    swap = lambda layer: (  # noqa: E731
        gelu() if isinstance(layer, layers.Activation) else layer.__class__.from_config(layer.get_config())
    )
    return keras.models.clone_model(base, clone_function=swap)


def add(shape):
    inputs = [keras.Input(shape, batch_size=1, name=name) for name in "xy"]
    return keras.Model(inputs, layers.Add()(inputs))


def channels_second(shape):
    inputs = keras.Input((shape[2], *shape[:2]), batch_size=1, name="x")
    return keras.Model(inputs, layers.GroupNormalization(GROUPS, axis=1)(inputs))


def classifier(size=32, filters=(32, 64, 128)):
    """Like VGG: pairs of convolutions and a pool, flattened, two dense layers."""
    x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
    for count in filters:
        for _ in range(2):
            x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(256, activation="relu")(layers.Dropout(0.5)(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Dense(10)(x))


def decoder(size=8, filters=(128, 64, 32)):
    inputs = keras.Input((64,), batch_size=1, name="code")
    x = layers.Reshape((size, size, 128))(layers.Dense(size * size * 128, activation="relu")(inputs))
    for count in filters:
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(count, 4, 2, "same")(x)))
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same", activation="tanh")(x))


def super_resolution(size=64, factor=4):
    """Sub-pixel convolution: channels become pixels at the end."""
    x = inputs = keras.Input((size, size, 3), batch_size=1, name="image")
    for count, width in ((64, 5), (32, 3), (3 * factor**2, 3)):
        x = layers.Conv2D(count, width, padding="same", activation="relu")(x)
    x = layers.Reshape((size, size, factor, factor, 3))(x)
    x = layers.Reshape((size * factor, size * factor, 3))(layers.Permute((1, 3, 2, 4, 5))(x))
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x))


def text(width=128, heads=4, depth=2):
    """A transformer over padded text of any length."""
    ids = keras.Input((None,), batch_size=1, dtype="int32", name="ids")
    x = layers.Embedding(1000, width, mask_zero=True)(ids)
    for _ in range(depth):
        y = layers.MultiHeadAttention(heads, width // heads)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
        y = layers.Dense(width)(layers.Dense(4 * width, activation="relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def networks():
    """{name: (function that makes the model, whether Keras' export can do it)}"""
    made = {}
    for shape in SHAPES:
        size = "x".join(map(str, shape))
        made[f"group norm {size}"] = (lambda shape=shape: layer_model(group_norm, shape), True)
        made[f"group norm {size}, axis=1"] = (lambda shape=shape: channels_second(shape), True)
        made[f"Add {size}"] = (lambda shape=shape: add(shape), False)
    return made | {
        "ResNet-50-GN": (lambda: resnet50(group_norm), True),
        "ResNet-50 without norms": (lambda: resnet50(layers.Identity), True),
        "U-Net-GN": (unet, True),
        "ConvNeXtTiny": (lambda: convnext(exact), False),
        "ConvNeXtTiny, GELU by tanh": (lambda: convnext(tanh), True),
        "ViT-Ti/16": (lambda: vit(exact), False),
        "ViT-Ti/16, GELU by tanh": (lambda: vit(tanh), True),
        "MobileNetV2": (lambda: keras.applications.MobileNetV2(weights=None), True),
        "MobileNetV3Small": (
            lambda: keras.applications.MobileNetV3Small(weights=None, input_shape=(224, 224, 3)),
            True,
        ),
        "CNN, flattened, dense": (classifier, True),
        "decoder, dense to images": (decoder, True),
        "super-resolution, pixel shuffle": (super_resolution, True),
        "text encoder with a mask": (text, True),
        "6 x Conv1D, BN, ReLU": (lambda: stack((1024, 64), lambda: layers.Conv1D(64, 5, padding="same")), True),
        "3 x Conv2DTranspose, BN, ReLU": (
            lambda: stack((14, 14, 64), lambda: layers.Conv2DTranspose(64, 2, 2), 3),
            True,
        ),
        "6 x Conv1D dilated, BN, ReLU": (
            lambda: stack((1024, 64), lambda: layers.Conv1D(64, 3, padding="causal", dilation_rate=4)),
            True,
        ),
        "6 x Dense, BN, ReLU": (lambda: stack((1024,), lambda: layers.Dense(1024)), True),
        "6 x Dense 256, BN, ReLU": (lambda: stack((256,), lambda: layers.Dense(256)), True),
        "6 x Dense over time, BN, ReLU": (lambda: stack((128, 256), lambda: layers.Dense(256)), True),
    }
