"""Networks of many norms in which one is wrong: does `verify` see it at every depth?

The faulty file is the export of a network that differs in one layer, verified against the sound network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from corruptions import corruptions
from exports import EXPORTS
from keras import ops
from keras_norms.export import ExportError, VerificationError, verify
from keras_norms.export.formats import format_of
from keras_norms.export.formats.tflite import tflite_format
from keras_norms.export.report.check import Check
from keras_norms.export.report.verify_report import VerifyReport
from models import randomize

import keras_norms

L = keras.layers
SIZE, CHANNELS, GROUPS, WIDTH = 6, 8, 4, 24
# A fault in the norm's own result below this share of its scale is within what float32 may do.
MATTERS = 2e-5


@keras.saving.register_keras_serializable("norm_mutants")
class WrongNorm(L.Layer):
    """A norm with gamma and beta whose statistics, or whose steps, are not those of its kind.

    `groups` is 0 for a layer norm of one axis. `leak` is the share of the other groups' mean that comes into a group's.
    """

    def __init__(self, groups: int, epsilon: float, fault: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups, self.epsilon, self.fault = groups, epsilon, fault

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")
        self.beta = self.add_weight(shape=(shape[-1],), name="beta")
        self.axes = [-1] if not self.groups else [1, 2, 4]
        self.parts = (-1, *shape[1:]) if not self.groups else (-1, *shape[1:3], self.groups, shape[-1] // self.groups)
        self.whole = (-1, *shape[1:])

    def call(self, x: Any) -> Any:
        parts = ops.reshape(x, self.parts)
        axes = [0, *self.axes] if self.fault == "leak of samples" else self.axes
        mean = ops.mean(parts, axes, keepdims=True)
        if self.fault == "leak of a group":
            mean = 0.99 * mean + 0.01 * ops.mean(mean, 3, keepdims=True)
        variance = ops.mean(ops.square(parts - mean), axes, keepdims=True)
        if self.fault == "mean not subtracted":
            mean = 0.0 * mean
        y = ops.reshape((parts - mean) * ops.rsqrt(variance + self.epsilon), self.whole) * self.gamma
        return y if self.fault == "beta dropped" else y + self.beta


EPSILON = 1e-3
# Kind of network: groups of its norms, the sound norm.
KINDS: dict[str, tuple[int, Callable[..., Any]]] = {
    "conv, group norm": (GROUPS, lambda **kw: keras_norms.GroupNormalization(GROUPS, **kw)),
    "residual, group norm": (GROUPS, lambda **kw: L.GroupNormalization(GROUPS, **kw)),
    "conv, instance norm": (CHANNELS, keras_norms.InstanceNormalization),
    "dense, layer norm": (0, keras_norms.LayerNormalization),
    # The next layer takes gamma and beta of these norms into its weights.
    "conv, group norm, no ReLU": (GROUPS, lambda **kw: keras_norms.GroupNormalization(GROUPS, **kw)),
    "layer norm first, residual": (0, keras_norms.LayerNormalization),
}
FAULTS = ("epsilon x2", "leak of samples", "mean not subtracted", "beta dropped", "ReLU dropped")
OF_GROUPS = ("leak of a group", "groups pooled")


def faults_of(kind: str) -> tuple[str, ...]:
    faults = FAULTS if KINDS[kind][0] == 0 else (*FAULTS, *OF_GROUPS)
    return faults[:4] + faults[5:] if kind.endswith("no ReLU") else faults


def _norm(kind: str, fault: str | None, i: int) -> Any:
    groups, make = KINDS[kind]
    if fault == "epsilon x2":
        return make(epsilon=2 * EPSILON, name=f"norm_{i}")
    if fault == "groups pooled":
        return keras_norms.GroupNormalization(1, epsilon=EPSILON, name=f"norm_{i}")
    if fault in (None, "ReLU dropped"):
        return make(epsilon=EPSILON, name=f"norm_{i}")
    return WrongNorm(groups, EPSILON, fault, name=f"norm_{i}")


def network(kind: str, depth: int, fault: str | None = None, at: int = -1) -> keras.Model:
    """`depth` times a linear layer, a norm and a ReLU, of which the one `at` has the fault."""
    dense = KINDS[kind][0] == 0
    x = inputs = keras.Input((WIDTH,) if dense else (SIZE, SIZE, CHANNELS), name="x")
    for i in range(depth):
        here = fault if i == at else None
        if kind == "layer norm first, residual":
            y = L.Dense(WIDTH, name=f"linear_{i}")(_norm(kind, here, i)(x))
            y = L.Dense(WIDTH, name=f"back_{i}")(y if here == "ReLU dropped" else L.ReLU(name=f"relu_{i}")(y))
        else:
            name = f"linear_{i}"
            y = (L.Dense(WIDTH, name=name) if dense else L.Conv2D(CHANNELS, 3, padding="same", name=name))(x)
            y = _norm(kind, here, i)(y)
            y = y if here == "ReLU dropped" or kind.endswith("no ReLU") else L.ReLU(name=f"relu_{i}")(y)
        x = L.Add(name=f"add_{i}")([x, y]) if "residual" in kind else y
    y = x if dense else L.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, L.Dense(4, name="y")(y))


def pair(kind: str, depth: int, fault: str, at: int) -> tuple[keras.Model, keras.Model]:
    """The sound network and the one with the fault, with the same weights."""
    sound, faulty = randomize(network(kind, depth), seed=depth), network(kind, depth, fault, at)
    faulty.set_weights(sound.get_weights())
    return sound, faulty


def own_change(sound: keras.Model, faulty: keras.Model, at: int, fault: str) -> float:
    """By which share of its scale the fault moves the result of its layer (the ReLU behind it included)."""
    rng = np.random.default_rng(4_711)
    x = ops.convert_to_tensor(rng.normal(size=(3, *sound.inputs[0].shape[1:])).astype("float32"))
    fed = keras.Model(sound.inputs, sound.get_layer(f"norm_{at}").input)(x)
    right, wrong = (ops.convert_to_numpy(net.get_layer(f"norm_{at}")(fed)) for net in (sound, faulty))
    if fault == "ReLU dropped":
        right = np.maximum(right, 0)
    return float(np.abs(right - wrong).max() / np.abs(right).max())


@dataclass(frozen=True)
class Verdict:
    change: float
    caught: bool
    how: str


def judged(kind: str, depth: int, fault: str | None, at: int, suffix: str, folder: Path) -> Verdict:
    """What `verify` says to the file; without a fault, to a sound one."""
    sound, faulty = pair(kind, depth, fault or "", at) if fault else (randomize(network(kind, depth), seed=depth),) * 2
    path = folder / f"net{suffix}"
    export_unverified(faulty, path)
    try:
        report = verify(sound, path)
    except (ExportError, VerificationError) as error:
        return Verdict(np.nan, True, str(error))
    return Verdict(own_change(sound, faulty, at, fault) if fault else 0.0, not report.ok, report.failure())


def edited(
    kind: str, depth: int, suffix: str, folder: Path, places: Sequence[int]
) -> Iterator[tuple[str | None, int, Verdict]]:
    """The sound network in one file, then epsilon x2 in copies of it, in one norm each."""
    sound, path = randomize(network(kind, depth), seed=depth), folder / f"edited{suffix}"
    export_unverified(sound, path)
    content = path.read_bytes()
    report = verify(sound, path)
    yield None, -1, Verdict(0.0, not report.ok, report.failure())
    found = [
        c
        for c in corruptions(content, suffix)
        if c.kind == "epsilon x2 in one norm" and not c.where.startswith("Batch")
    ]
    assert len(found) == depth, f"{len(found)} epsilons in a file of {depth} norms"
    for at in places:
        path.write_bytes(found[at].of(content))
        report = verify(sound, path)
        _, faulty = pair(kind, depth, "epsilon x2", at)
        yield "epsilon x2", at, Verdict(own_change(sound, faulty, at, ""), not report.ok, report.failure())


def export_unverified(model: keras.Model, path: Path, **options: Any) -> None:
    """The file as it would come out if nothing judged it."""
    pipeline = sys.modules["keras_norms.export.pipeline"]
    check = Check("none", "none", "y", 0.0, 1.0, 0.0, np.inf, 1e-4, None, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", lambda *args: VerifyReport(str(path), 1e-4, (check,)))
        patch.setattr(tflite_format, "chip_reports", lambda *args: ())
        EXPORTS[path.suffix](model, path, **options)


@contextmanager
def verified_here() -> Any:
    """Within the block `verify` runs files in this process and looks for no layer: the verdict is the same, sooner."""
    module = sys.modules["keras_norms.export.verification.verify"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "isolated_reader", format_of)
        patch.setattr(module, "divergence_inside", lambda *args: (None, None))
        yield
