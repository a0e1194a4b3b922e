"""Whether an artifact belongs to another state of its model, or to other options than a policy asks for today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras

from ..artifact.hashes import array_records, config_sha256, model_sha256, versions, weights_sha256
from ..artifact.metadata import check_labels, last_sizes
from ..artifact.metadata_keys import MODEL, VERSIONS
from ..model.facts import ModelFacts
from ..quantization.calibration import read_calibration
from ..verification.certificate import Certificate
from .export_fresh import options_of
from .tasks import ExportTask

_NOT_IN_THE_FILE = ("tolerance",)


def why_outdated(certificate: Certificate, model: keras.Model, task: ExportTask) -> str | None:
    """Why the certified file is not the one that `task` would give today; None if it may be.

    Raises:
        ExportError: If the certificate lacks an entry.
    """
    certified, options = certificate.entry("model"), certificate.entry("options")
    if certified.get("weights_sha256") != weights_sha256(model):
        return "it was exported from other weights than the model has now"
    same_keras = certificate.entry("versions").get("keras") == versions().get("keras")
    # Another Keras writes other configurations of the same model; the figures decide then.
    if same_keras and certified.get("config_sha256") != config_sha256(model):
        return "it was exported from another architecture than the model has now"
    for name, now in options_of(task).to_dict().items():
        if name in options and name not in _NOT_IN_THE_FILE and options[name] != now:
            key = name.replace("_", "-")
            return f"it was exported with {key} {_word(options[name])}; the policy asks for {_word(now)}"
    return _why_other_data(options, model, task)


def _why_other_data(options: Mapping[str, Any], model: keras.Model, task: ExportTask) -> str | None:
    facts = ModelFacts.of(model, task["batch_size"])
    if task["calibration"] is not None:
        rows = read_calibration(task["calibration"], facts.signature).rows
        if options.get("calibration") != array_records(rows):
            return "it was exported with other calibration data than the file holds now"
    elif options.get("calibration") is not None:
        return "it was exported with calibration data; the policy gives none"
    labels = check_labels(task["labels"], facts.signature, last_sizes(model, facts.signature))
    return None if options.get("labels") == labels else "it was exported with other labels"


def why_outdated_by_metadata(metadata: Mapping[str, str], model: keras.Model) -> str | None:
    """The same by what the file says about itself, where it has no certificate; None for another tool's file."""
    if MODEL not in metadata or metadata[MODEL] == model_sha256(model):
        return None
    then = json.loads(metadata.get(VERSIONS, "{}")).get("keras")
    if then != versions().get("keras"):
        return None
    return "it was exported from another state of the model than it has now"


def _word(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
