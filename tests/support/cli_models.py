"""Model files and artifacts for the tests of the command."""

import keras
import numpy as np

import keras_norms


def build():
    """A network with a batch norm that folds, one that stays after a ReLU, and a group norm."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv_a")(image)
    x = keras_norms.BatchNormalization(name="folds")(x)
    x = keras.layers.ReLU()(x)
    x = keras_norms.BatchRenormalization(name="stays")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv_b")(x)
    x = keras_norms.GroupNormalization(2, name="grouped")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(5, name="logits")(x), name="small")
    random = np.random.default_rng(0)
    for name in ("folds", "stays"):
        for weight in model.get_layer(name).weights:
            if weight.shape == (4,):
                weight.assign(random.uniform(0.5, 1.5, 4))
    return model


def save_all(directory):
    """Write model files good and bad into `directory`."""
    model = build()
    model.save(directory / "model.keras")
    model.save(directory / "model.h5")
    model.save_weights(directory / "model.weights.h5")
    whole = (directory / "model.keras").read_bytes()
    (directory / "truncated.keras").write_bytes(whole[: len(whole) // 2])
    (directory / "empty.keras").write_bytes(b"")
    (directory / "foreign.keras").write_text("not a model")
    (directory / "directory.keras").mkdir()
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(directory / "lambda.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(directory / "other.keras")
    image = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.savez(directory / "by_name.npz", image=image)
    np.savez(directory / "in_order.npz", image)
    np.savez(directory / "wrong_shape.npz", image=image[:, :4])
    np.savez(directory / "wrong_name.npz", picture=image)
    np.savez(directory / "pickled.npz", image=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(directory / "bare.npy", image)
    (directory / "bare.npz").write_bytes((directory / "bare.npy").read_bytes())
    (directory / "foreign.npz").write_text("no arrays")
    return model
