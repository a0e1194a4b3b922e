"""What the installed Keras has: Python 3.10 ends at 3.12, and some twins and files need a newer one."""

import keras
from packaging.version import Version

KERAS = Version(keras.__version__)
HAS_RENORM = Version("3.15") <= KERAS  # keras.layers.BatchNormalization(renorm=True)
RENORM = {"renorm": True} if HAS_RENORM else {}
SORTS_AXES = Version("3.15") <= KERAS  # keras.layers.LayerNormalization(axis=[-1, -2])
