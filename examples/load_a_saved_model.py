"""Save a model with these norms and load it elsewhere: importing keras_norms is all that the other side needs.

python load_a_saved_model.py [DIRECTORY]
"""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from keras_norms import GroupNormalization

directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((16, 16, 3), name="image"),
        keras.layers.Conv2D(8, 3),
        GroupNormalization(groups=4),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
)
image = np.ones((1, 16, 16, 3), "float32")
here = model.predict(image, verbose=0)
model.save(directory / "model.keras")

# Another process, as on another machine: no custom_objects, no class passed along.
elsewhere = """
import sys, keras, numpy as np
import keras_norms  # registers the layers
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[2], model.predict(np.ones((1, 16, 16, 3), "float32"), verbose=0))
"""
arguments = [str(directory / "model.keras"), str(directory / "answer.npy")]
subprocess.run([sys.executable, "-c", elsewhere, *arguments], check=True)

difference = np.abs(np.load(directory / "answer.npy") - here).max()
print(f"The loaded model's answer differs by {difference:.1e}.")
