"""Fold a model and write a TensorFlow SavedModel; serve it with TensorFlow alone, without Keras or keras_norms.

python serve_a_folded_saved_model.py [DIRECTORY]
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras_norms.export import fold

from keras_norms import BatchRenormalization

directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "served_model"

# A stand-in for your trained model: keras.models.load_model("model.keras").
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((16, 16, 3), name="image"),
        keras.layers.Conv2D(8, 3, use_bias=False),
        BatchRenormalization(),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, name="logits"),
    ]
)

folded, report = fold(model)  # the model itself stays as it is
print(report)
folded.export(directory, format="tf_saved_model", verbose=False)

# The serving side: any batch size, TensorFlow only. TensorFlow Serving reads the same directory.
served = tf.saved_model.load(directory)
images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
answer = served.serve(images).numpy()
error = np.abs(answer - model.predict(images, verbose=0)).max()
print(f"{len(images)} answers from {directory}, {error:.1e} off the unfolded model.")
