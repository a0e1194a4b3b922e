"""The proof: tf_keras, Keras 2's code, reads the same file in another process and computes the same inputs."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_norms._masks_of_keras2 import GlobalAveragePooling1DOfKeras21

from ..errors import ExportError, reason_of
from ..model.keras_graph import layers_of
from ..model.patching import patched_calls
from ..model.signature import Signature, signature
from ..model.size_search import concrete_shape
from ..model.test_inputs import probes
from ..model.user_inputs import Arrays
from ..worker.client import ConversionError, run_job
from .old_file import OldFile
from .tf_keras_safety import what_runs_code

# The largest difference allowed, relative to the largest value of an output; and how often the effect of one rounding
# of the inputs, where that is more.
_TOLERANCE, _ROUNDINGS = 1e-5, 16
_LONG, _LARGEST_INPUT = 12_000, 2**20
_HALF = 5e-3  # where a layer computes in half precision
_PADDED = "tf_keras leaves masked steps out of GlobalAveragePooling1D"
_MASKED = 0.3  # the share of the steps of an input that are masked, where the model masks any


@dataclass(frozen=True)
class Proof:
    """What shows that the loaded model computes what its writer computed; `oracle` is None where nothing does."""

    text: str
    oracle: str | None = None
    error: float | None = None


def prove_with_tf_keras(old: OldFile, model: keras.Model, name: Path) -> Proof:
    """Compare the model with what tf_keras computes from the same file, which is called `name` in errors.

    Raises:
        ExportError: If they differ; it names the first layer that does, where that can be told.
    """
    if importlib.util.find_spec("tf_keras") is None:
        return Proof("none: tf_keras, the code that wrote it, is not installed (pip install 'keras-norms[legacy]')")
    if old.writer.backend == "theano":
        return Proof("none: tf_keras does not turn Theano's kernels, so it computes something else from this file")
    if _not_in_tf_keras(old):
        return Proof(f"none: tf_keras has no code of {', '.join(map(repr, old.of_user))}, which the user gave")
    code = what_runs_code(old.everything, old.unsafe)
    if code:
        return Proof(f"none: the file holds {code}, which tf_keras was not given, since it might run code from it")
    try:
        sig = _with_stated_batch(model)
        inputs = _inputs(model, sig)
        ours = _computed(model, sig, inputs)
    except Exception as error:  # a model that takes strings, or that does not run on random numbers
        return Proof(f"none: the model does not run on random inputs: {reason_of(error)}")
    if not all(np.isfinite(y).any() for y in ours if y.size):
        return Proof("none: the model computes no finite number from random inputs")
    with tempfile.TemporaryDirectory(prefix="keras-norms-") as folder:
        try:
            version, theirs = _theirs(old, inputs, Path(folder), layers=False)
        except ConversionError as error:
            unknown = re.search(r"Unknown (?:layer|\w+ function): '?([\w>.]+)", str(error))
            if unknown:
                return Proof(f"none: tf_keras has no code of '{unknown[1]}'")
            return Proof(f"none: tf_keras does not read this file: {reason_of(error)}")
        worst = _difference(ours, theirs)
        if worst > _TOLERANCE and worst > _allowed(model, sig, inputs, ours):
            rest = _besides_pooling(model, sig, inputs, theirs)
            if rest <= _TOLERANCE:
                return Proof(f"none: {_PADDED}, which {old.writer.name} averaged too; all else agrees, {rest:.1e}")
            raise ExportError(
                f"Cannot load '{name}': Keras {keras.__version__} computes something else from it than tf_keras "
                f"{version} does, {worst:.1e} of scale{_first_layer(old, model, inputs, Path(folder))}."
            )
    text = f"as tf_keras {version} computes it, {worst:.1e}"
    if old.writer.version != version:
        text += f"; {old.writer.name} wrote it, and what only that version did tf_keras does not show"
    return Proof(text, f"tf_keras {version}", worst)


def _besides_pooling(model: keras.Model, sig: Signature, inputs: Arrays, theirs: Arrays) -> float:
    """How far the model is off where its poolings take masks as tf_keras' do; infinitely if it has none of the old."""
    padded = [layer for layer in layers_of(model) if isinstance(layer, GlobalAveragePooling1DOfKeras21)]
    if not padded:
        return math.inf
    with patched_calls(padded, lambda layer: partial(keras.layers.GlobalAveragePooling1D.call, layer)):
        return _difference(_computed(model, sig, inputs), theirs)


def _not_in_tf_keras(old: OldFile) -> bool:
    """Whether tf_keras has nothing of what the user gave, or something else under the same name.

    Classes that it does not know it makes of the functions in a SavedModel; other files have none.
    """
    names = [name.rpartition(">")[2] for name in old.of_user]
    known = any(hasattr(part, name) for part in (keras.layers, keras.activations) for name in names)
    return bool(names) and (known or old.folder is None)


def _with_stated_batch(model: keras.Model) -> Signature:
    """The signature with the batch that the inputs state, also those of a Sequential: its states are so many."""
    batches = {x.shape[0] for x in model.inputs if x.shape}
    return signature(model, batches.pop() if len(batches) == 1 else None)


def _inputs(model: keras.Model, sig: Signature) -> Arrays:
    """Random inputs that the model takes; some steps are such that its Masking layers mask them."""
    drawn = _random_inputs(model, sig)
    values = [layer.mask_value for layer in layers_of(model) if isinstance(layer, keras.layers.Masking)]
    return [_masked_in_part(x, values[0]) if values and x.dtype.kind == "f" and x.ndim > 2 else x for x in drawn]


def _masked_in_part(x: np.ndarray, value: float) -> np.ndarray:
    steps = np.random.default_rng(1).random(x.shape[:-1]) < _MASKED
    return np.where(steps[..., None], np.asarray(value, x.dtype), x)


def _random_inputs(model: keras.Model, sig: Signature) -> Arrays:
    """Random inputs that the model takes; sequences that are very long where it crops its own contexts off."""
    try:
        return [probe for probe in probes(model, sig) if probe.name.startswith("random")][-1].arrays
    except ExportError:
        shapes = [concrete_shape(spec, 1, _LONG) for spec in sig.inputs]
        floats = all(spec.dtype.startswith("float") for spec in sig.inputs)
        if not floats or sum(math.prod(shape) for shape in shapes) > _LARGEST_INPUT:
            raise
        rng = np.random.default_rng(0)
        return [rng.normal(size=shape).astype(spec.dtype) for spec, shape in zip(sig.inputs, shapes, strict=True)]


def _computed(model: keras.Model, sig: Signature, inputs: Arrays) -> Arrays:
    """The outputs from the first states of the layers, which have them afterwards too."""
    try:
        return [np.asarray(keras.ops.convert_to_numpy(y)) for y in sig.call(model, inputs)]
    finally:
        for layer in layers_of(model):
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()


def _theirs(old: OldFile, inputs: Arrays, folder: Path, layers: bool) -> tuple[str, Any]:
    given, computed = folder / "inputs.npz", folder / "outputs.npz"
    np.savez(given, *inputs)
    architecture = None
    if old.architecture:  # what was checked, not the text
        architecture = folder / "architecture.json"
        architecture.write_text(json.dumps(old.config))
    answer = run_job(
        "loading.tf_keras_run:run",
        path=old.path,
        architecture=architecture,
        inputs=given,
        outputs=computed,
        layers=layers,
        unsafe=old.unsafe,
    )
    with np.load(computed) as arrays:
        found = [arrays[key] for key in arrays]
    return answer["version"], dict(zip(answer["layers"], found, strict=True)) if layers else found


def _difference(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference of any output, relative to its largest value; infinite where shapes differ."""
    worst = 0.0
    if len(ours) != len(theirs):
        return float("inf")
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape:
            return float("inf")
        x, y = a.astype("float64"), b.astype("float64")
        finite = np.isfinite(y)
        if not np.array_equal(finite, np.isfinite(x)):
            return float("inf")
        scale = np.abs(y[finite]).max(initial=0.0) or 1.0
        worst = max(worst, float(np.abs(x - y)[finite].max(initial=0.0) / scale))
    return worst


def _allowed(model: keras.Model, sig: Signature, inputs: Arrays, ours: Arrays) -> float:
    """What one rounding of the inputs does to the outputs, some times over: no two libraries can agree better."""
    if any("16" in str(layer.compute_dtype) for layer in model.layers):
        return _HALF
    moved = [np.nextafter(x, np.inf, dtype=x.dtype) if x.dtype.kind == "f" else x for x in inputs]
    return _ROUNDINGS * _difference(_computed(model, sig, moved), ours)


def _first_layer(old: OldFile, model: keras.Model, inputs: Arrays, folder: Path) -> str:
    """The first layer whose output differs, in words, or nothing where the layers cannot be asked."""
    try:
        _, theirs = _theirs(old, inputs, folder, layers=True)
        made = {layer.name: layer.output for layer in model.layers if isinstance(layer.output, keras.KerasTensor)}
        names = [name for name in theirs if name.replace("/", "_") in made]
        inner = keras.Model(model.inputs, [made[name.replace("/", "_")] for name in names])
        found = keras.tree.flatten(inner(list(inputs), training=False))
        for name, output in zip(names, found, strict=True):
            if _difference([np.asarray(keras.ops.convert_to_numpy(output))], [theirs[name]]) > _TOLERANCE:
                return f", first in layer '{name}'"
    except Exception:  # a model without a graph, or one that tf_keras cannot take apart: the difference stands
        return ""
    return ""
