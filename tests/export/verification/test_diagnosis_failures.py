"""A search for the wrong layer that itself fails: ignored for users, raised in the tests if the fault is ours."""

import pytest
from keras_norms.export import ExportError, VerificationError
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.report.verify_report import Check, VerifyReport
from keras_norms.export.verification import cases
from keras_norms.export.verification.diagnosis import match_tensors
from keras_norms.export.verification.diagnosis.expose_outputs import first_divergence
from keras_norms.export.verification.diagnosis.ignored_failure import RAISE, failure_ignored
from models import NORMS, image_net


@pytest.fixture(scope="module")
def facts():
    return ModelFacts.of(image_net(NORMS["GroupNormalization"], size=6, channels=4))


def search_again(facts):
    """The search that converts once more, with a converter that has a fault."""

    def broken(part, path):
        raise AttributeError("a fault of ours")

    return first_divergence(facts, broken, ".onnx")


def search_inside(facts):
    """The search in the file, of a format that has a fault."""

    class Broken:
        def runners(self, path):
            raise AttributeError("a fault of ours")

    probe = cases.Probe("random, batch 1", [], "")
    check = Check(probe.name, "runtime", "logits", 1.0, 1.0, 1.0, 0.0, 1e-4, None, False)
    return match_tensors.divergence_inside([facts], Broken(), None, VerifyReport("m", 1e-4, (check,)), [probe])


@pytest.mark.parametrize(("search", "nothing"), [(search_again, None), (search_inside, (None, None))])
def test_a_fault_of_the_search_is_seen_here_and_ignored_elsewhere(search, nothing, facts, monkeypatch):
    with pytest.raises(AttributeError, match="a fault of ours"):
        search(facts)
    monkeypatch.delenv(RAISE)
    assert search(facts) == nothing


@pytest.mark.parametrize("kind", [ExportError, VerificationError])
def test_an_artifact_that_cannot_be_made_or_run_is_no_fault(kind):
    with failure_ignored():
        raise kind("the converter cannot")
