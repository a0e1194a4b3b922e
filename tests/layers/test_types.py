"""In the code of a user, mypy reports wrong arguments and accepts right ones."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_norms

# Each line is right, or ends in the code of the error that mypy has to find there.
USER = """\
import keras
import numpy as np
from keras_norms import BatchNormalization, BatchRenormalization, GroupNormalization
from keras_norms import InstanceNormalization, LayerNormalization, RenormSchedule, WeightStandardization
from keras_norms import convert_norms, from_torch_norm, norm_statistics, recalibrate
from keras_norms.callbacks import Recalibrate, RenormMonitor

BatchNormalization(axis=1, momentum=np.float32(0.9), name="a", dtype="mixed_float16", trainable=False)
BatchNormalization(beta_regularizer="l2", gamma_initializer=keras.initializers.Ones(), virtual_batch_size=None)
BatchRenormalization(schedule=RenormSchedule.for_training(1000), input_shape=(5, 3))
GroupNormalization(4, activity_regularizer=keras.regularizers.L2(0.1))
GroupNormalization(groups=np.int64(4), beta_constraint=lambda w: w)
InstanceNormalization(epsilon=1, autocast=True)
LayerNormalization([1, 2], name=None)
limits: tuple[float, float] = RenormSchedule(2, 1, warmup_steps=1)(7)
axis: int = BatchNormalization().axis
config: dict[str, object] = LayerNormalization().get_config()
model = keras.Sequential([keras.Input((3,)), BatchNormalization()])
converted, report = convert_norms(model, "group", groups=np.int64(3), where=lambda layer: layer.name == "a")
exact: bool = report.exact
moved: float = recalibrate(model, np.zeros((2, 3)), batches=1, sequential=True).norms[0].mean_moved
off: float | None = norm_statistics(model, [np.zeros((2, 3))]).norms[0].mean_off
callbacks: list[keras.callbacks.Callback] = [Recalibrate(np.zeros((2, 3))), RenormMonitor(np.zeros((2, 3)))]
WeightStandardization(keras.layers.Dense(3), scaled=True, name="a")

convert_norms(model, "grp")  # arg-type
convert_norms(model, "group", gropus=3)  # call-arg
recalibrate(model, np.zeros((2, 3)), batch=3)  # call-arg
from_torch_norm({}, kind="rms")  # arg-type
WeightStandardization(keras.layers.Dense(3), scaled="yes")  # arg-type
BatchNormalization(axsi=1)  # call-arg
BatchRenormalization(axsi=1)  # call-arg
GroupNormalization(axsi=1)  # call-arg
InstanceNormalization(axsi=1)  # call-arg
LayerNormalization(axsi=1)  # call-arg
BatchNormalization(nmae="a")  # call-arg
BatchNormalization(renorm=True)  # call-arg
BatchNormalization(center="no")  # arg-type
BatchNormalization(trainable="no")  # arg-type
BatchRenormalization(schedule=3)  # arg-type
GroupNormalization(groups="three")  # arg-type
LayerNormalization(axis="last")  # arg-type
RenormSchedule(r_max="a")  # arg-type
RenormSchedule(rmax=3)  # call-arg
RenormSchedule.constant(3)  # call-arg
BatchNormalization().get_config(1)  # call-arg
"""
# The same findings, and in less time, where PyTorch is installed.
SETTINGS = """\
[mypy]
ignore_missing_imports = True
[mypy-torch.*]
follow_imports = skip
"""


@pytest.mark.runtime
def test_mypy_on_the_code_of_a_user(tmp_path):
    """mypy cannot follow the import hook of an editable install, so it gets a copy of the package."""
    pytest.importorskip("mypy")
    package = Path(keras_norms.__file__).parent
    shutil.copytree(
        package, tmp_path / "packages" / "keras_norms", ignore=shutil.ignore_patterns("export", "__pycache__")
    )
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "user.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path / "packages")},
    )
    found = dict(re.findall(r"user\.py:(\d+): error: .*\[([a-z-]+)\]", run.stdout))
    lines = {str(n): line.partition("  # ")[2] for n, line in enumerate(USER.splitlines(), 1)}
    assert found == {n: code for n, code in lines.items() if code}, run.stdout + run.stderr
