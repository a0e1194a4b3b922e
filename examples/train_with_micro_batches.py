"""Train with two images a batch: batch renormalization keeps training and inference alike.

python train_with_micro_batches.py [MODEL.keras]
"""

import sys

import keras
import numpy as np

from keras_norms import BatchRenormalization, RenormSchedule

BATCH_SIZE, EPOCHS = 2, 4

# Stand-in data: the class of an image is the quarter that holds its bright spot. Put your own here.
random = np.random.default_rng(0)
labels = random.integers(0, 4, 512)
images = random.normal(size=(512, 8, 8, 1)).astype("float32")
for image, label in zip(images, labels, strict=True):
    image[4 * (label // 2) + 1 : 4 * (label // 2) + 3, 4 * (label % 2) + 1 : 4 * (label % 2) + 3] += 3

# The corrections open during the training: tell the schedule how long it is.
steps = EPOCHS * len(images) // BATCH_SIZE
schedule = RenormSchedule.for_training(total_steps=steps)

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Conv2D(8, 3, use_bias=False),
        BatchRenormalization(schedule=schedule),
        keras.layers.ReLU(),
        keras.layers.Conv2D(8, 3, use_bias=False),
        BatchRenormalization(schedule=schedule),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(4, name="logits"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
    steps_per_execution=32,  # a step on a micro-batch is short: let several share the cost of a call
    jit_compile=False,  # compiling would take longer than this training
)
model.fit(images[:384], labels[:384], batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
loss, accuracy = model.evaluate(images[384:], labels[384:], verbose=0)
print(f"{steps} steps of {BATCH_SIZE} images; right on unseen images: {100 * accuracy:.1f} %")

path = sys.argv[1] if len(sys.argv) > 1 else "micro.keras"
model.save(path)
print(f"Saved {path}.")
