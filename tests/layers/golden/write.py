"""Writes the files that later versions have to keep loading: run it once for each release, and commit what it writes.

python tests/layers/golden/write.py
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_norms import (
    BatchNormalization,
    BatchRenormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RenormSchedule,
)

LAYERS = (
    BatchNormalization(momentum=0.9, name="batch"),
    BatchRenormalization(schedule=RenormSchedule(2.0, 1.0, 3, 9, 8), virtual_batch_size=2, name="renorm"),
    GroupNormalization(groups=2, name="group"),
    GroupNormalization(groups=-1, center=False, name="single"),
    InstanceNormalization(epsilon=1e-5, scale=False, name="instance"),
    LayerNormalization(axis=[1, 2, 3], name="layer"),
)


def main():
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    x = y = keras.Input((4, 4, 4))
    for layer in LAYERS:
        y = layer(keras.layers.Conv2D(4, 1)(y))
    model = keras.Model(x, keras.layers.Flatten()(y))
    for weight in model.weights:
        if weight.name != "step":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    data = rng.normal(size=(2, 4, 4, 4)).astype("float32")
    stem = Path(__file__).parent / f"keras_norms-{version('keras-norms')}"
    model.save(stem.with_name(stem.name + ".keras"))
    model.save(stem.with_name(stem.name + ".h5"))
    np.savez(
        stem.with_name(stem.name + ".npz"),
        x=data,
        y=model.predict(data, verbose=0),
        names=[layer.name for layer in LAYERS],
        configs=json.dumps([layer.get_config() for layer in LAYERS]),
    )


if __name__ == "__main__":
    main()
