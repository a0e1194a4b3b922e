"""Digits with group norm, trained on two images a batch, in 8-bit integers on an NPU and a microcontroller.

python run_on_a_microcontroller.py [DIRECTORY]
"""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from keras_norms.export import to_tflite
from sklearn.datasets import load_digits
from tflite_micro import runtime  # pip install 'keras-norms[npu]' brings it, and Arm's compiler

from keras_norms import GroupNormalization

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
given = load_digits()
order = np.random.default_rng(0).permutation(len(given.target))
images, labels = (given.images[order, ..., None] / 8 - 1).astype("float32"), given.target[order]
seen, unseen = slice(0, 1400), slice(1400, None)

keras.utils.set_random_seed(0)
x = image = keras.Input((8, 8, 1), name="image")
for channels, strides in ((16, 1), (32, 2)):
    x = keras.layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(GroupNormalization(8)(x))
model = keras.Model(image, keras.layers.Dense(10, name="digit")(keras.layers.GlobalAveragePooling2D()(x)))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss, steps_per_execution=50)
model.fit(images[seen], labels[seen], batch_size=2, epochs=6, verbose=0)

path, header = folder / "digits.tflite", folder / "digits.h"
report = to_tflite(
    model, path, quantize="int8", calibration=images[:200], target="npu", batch_size=1, c_array=header
)  # fmt: skip
for chip in report.chips:
    print(chip)

# What the microcontroller does: integers in, integers out, by the scales that the file states.
chip = runtime.Interpreter.from_file(str(path))
grid = chip.get_input_details(0)["quantization_parameters"]
pixels = np.clip(np.round(images[unseen] / grid["scales"][0]) + grid["zero_points"][0], -128, 127).astype("int8")
answers = []
for each in pixels:
    chip.set_input(each[None], 0)
    chip.invoke()
    answers.append(chip.get_output(0).argmax())
in_keras = model.predict(images[unseen], verbose=0).argmax(-1)
right = 100 * np.mean(np.array(answers) == labels[unseen])
print(f"right on unseen digits: {right:.1f} %; in Keras {100 * np.mean(in_keras == labels[unseen]):.1f} %")

# The array needs nothing but a C compiler: no header of any library.
(folder / "size.c").write_text('#include "digits.h"\nunsigned int size(void) { return digits_tflite_len; }\n')
subprocess.run(["cc", "-std=c11", "-Wall", "-c", "size.c", "-o", "size.o"], cwd=folder, check=True)
print(f"digits.h: an array of {path.stat().st_size:,} bytes, compiled to {(folder / 'size.o').stat().st_size:,}")
