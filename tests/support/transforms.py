"""The table of transforms: every layer under every transform of the backend that KERAS_BACKEND names.

    KERAS_BACKEND=jax python tests/support/transforms.py             the cells of the pack's layers
    KERAS_BACKEND=jax python tests/support/transforms.py --keras     those of Keras' namesakes

Each cell says "right", or what is wrong: the error as a share of the largest entry, or the exception.
"""

import argparse
import importlib
from dataclasses import dataclass, field

import keras
import numpy as np
from derivative_oracle import Program, Reference, directions, program
from layer_cases import BN, BRN, GN, IN, KBN, KGN, KLN, LN, OPEN, Case, randomize

TOLERANCE = 1e-3


@dataclass(frozen=True)
class Subject:
    """A layer in the table, the program round it, and what is right."""

    name: str
    case: Case
    mask_shape: tuple[int, ...] | None = None
    training: bool = False
    twin: type | None = None
    twin_arguments: dict = field(default_factory=dict)

    def parameters(self):
        return program(self.case)

    def layer(self, keras_twin=False, name=None):
        """The layer, with the gamma and beta of the program. A name is needed by what remembers layers by name."""
        made = self.twin(**self.twin_arguments, name=name) if keras_twin else self.case.make(name=name)
        made = randomize(made, self.case.shape)
        made.gamma.assign(self.parameters().gamma)
        made.beta.assign(self.parameters().beta)
        return made

    def call(self):
        call = {"training": True} if self.training else {}
        return call if self.mask_shape is None else {**call, "mask": keras.ops.convert_to_tensor(self.mask())}

    def mask(self):
        if self.mask_shape is None:
            return None
        mask = np.random.default_rng(4).random(self.mask_shape) < 0.7
        mask.reshape(-1)[0] = True
        return mask

    def reference(self, case=None, parameters=None):
        parameters = parameters or self.parameters()
        return Reference(case or self.case, self.layer(), parameters, self.mask())


SHAPE = (3, 2, 5, 4)
_RENORM = {"renorm": True, "renorm_clipping": {"rmax": 3.0, "rmin": 1 / 3, "dmax": 5.0}}
SUBJECTS = (
    Subject("BN", Case(BN, SHAPE), training=True, twin=KBN),
    Subject("BN, mask", Case(BN, SHAPE), SHAPE[:-1], training=True, twin=KBN),
    Subject("BRN", Case(BRN, SHAPE, {"schedule": OPEN}), training=True, twin=KBN, twin_arguments=_RENORM),
    Subject("GN", Case(GN, SHAPE, {"groups": 2}), twin=KGN, twin_arguments={"groups": 2}),
    Subject("GN, mask", Case(GN, SHAPE, {"groups": 2}), SHAPE[:-1], twin=KGN, twin_arguments={"groups": 2}),
    Subject("GN, axis 1", Case(GN, SHAPE, {"groups": 1, "axis": 1}), twin=KGN, twin_arguments={"groups": 1, "axis": 1}),
    Subject("IN", Case(IN, SHAPE), twin=KGN, twin_arguments={"groups": -1}),
    Subject("LN", Case(LN, SHAPE), twin=KLN),
)


@dataclass(frozen=True)
class Given:
    """What a transform gets: a layer, its call arguments, and the arrays of the program as tensors of the backend."""

    subject: Subject
    layer: keras.layers.Layer
    call: dict
    x: object
    kernel: object
    direction: object  # for x
    u: object


def given(subject, keras_twin=False):
    parameters = subject.parameters()
    (direction, *_), u = directions(parameters)
    tensors = (
        keras.ops.convert_to_tensor(v.astype("float32")) for v in (parameters.x, parameters.kernel, direction, u)
    )
    return Given(subject, subject.layer(keras_twin, name="norm"), subject.call(), *tensors)


def right(subject, kind):
    """What a transform of this kind has to give."""
    parameters = subject.parameters()
    (direction, *others), u = directions(parameters)
    along_x = [direction, *(np.zeros_like(v) for v in others)]
    if kind == "per sample":
        return _per_sample(subject, parameters, u)
    reference = subject.reference()
    if kind == "gradient":  # of the loss by x, and the statistics after one step
        return [reference.gradient(parameters, u)[0], *_statistics_after_one_step(subject)]
    if kind == "tangent":
        return [reference.tangent(parameters, along_x)]
    assert kind == "hessian"
    return [reference.hessian_times(parameters, u, along_x)[0]]


def _per_sample(subject, parameters, u):
    """The gradient of each sample's own loss by that sample, and by gamma."""
    case = Case(subject.case.layer, (1, *subject.case.shape[1:]), subject.case.arguments)
    found = []
    for n in range(len(parameters.x)):
        sample = Program(parameters.x[n : n + 1], *parameters.arrays()[1:])
        mask = None if subject.mask() is None else subject.mask()[n : n + 1]
        dx, _, dgamma, _ = Reference(case, subject.layer(), sample, mask).gradient(sample, u[n : n + 1])
        found.append((dx[0], dgamma))
    return [np.stack(v) for v in zip(*found, strict=True)]


def _statistics_after_one_step(subject):
    """The weights that training updates, after one plain step: a transform must not move them once more."""
    if not subject.training:
        return []
    it = given(subject)
    it.layer(keras.ops.matmul(it.x, it.kernel), **it.call)
    return statistics(it.layer)


def statistics(layer):
    return [np.array(keras.ops.convert_to_numpy(v), "float64") for v in layer.non_trainable_variables]


def cell(subject, transform, kind, keras_twin=False):
    """Says whether a transform of a layer is right."""
    try:
        found = [np.array(keras.ops.convert_to_numpy(v), "float64") for v in transform(given(subject, keras_twin))]
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    wanted = right(subject, kind)
    if keras_twin:  # renorm=True of Keras has other weights
        found, wanted = found[:1], [] if subject.case.layer is BRN else wanted[:1]
    elif len(found) != len(wanted):
        return f"gives {len(found)} arrays, not {len(wanted)}"
    errors = [np.abs(a - b).max() / max(1e-6, np.abs(b).max()) for a, b in zip(found, wanted, strict=False)]
    error = max(errors, default=0.0)
    return "right" if error <= TOLERANCE else f"off by {error:.1e}"


def sample():
    """Every layer under every transform, without masks and other axes, which the table of derivatives has."""
    return table(subjects=[subject for subject in SUBJECTS if "," not in subject.name])


def table(keras_twin=False, only="", subjects=SUBJECTS):
    transforms = importlib.import_module(f"transforms_{keras.backend.backend()}").TRANSFORMS
    return {
        name: {subject.name: cell(subject, transform, kind, keras_twin) for subject in subjects}
        for name, (kind, transform) in transforms.items()
        if only in name
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras", action="store_true", help="Keras' namesakes in place of the pack's layers")
    parser.add_argument("--only", default="", help="a part of the transform's name")
    arguments = parser.parse_args()
    for name, cells in table(arguments.keras, arguments.only).items():
        print(f"{name}: " + "; ".join(f"{k}: {v}" for k, v in cells.items()))


if __name__ == "__main__":
    main()
