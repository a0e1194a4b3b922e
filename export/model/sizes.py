"""The sizes that a model is tried with where it does not say which: by a fold and by verification alike."""

from __future__ import annotations

# For dimensions that are free. 256 and 331 serve models that shrink their input much, or reshape it.
FREE_SIZES = (16, 32, 64, 80, 128, 160, 224, 256, 331)

# The largest size that is looked for where none of these suits, by how many dimensions of an input are free: one of a
# sequence, two of an image, three of a volume.
LARGEST_SIZE = {1: 4096, 2: 512, 3: 128}

# For images that are declared larger: a convolution does not mind smaller ones, which take less time.
IMAGE_SIZES = (96, 160)
